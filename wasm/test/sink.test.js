/** What happens when a sink fails: the disk says so once, acknowledges nothing more, and the log is readable up to there. */

import assert from "node:assert/strict";
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { test } from "node:test";

import { accessHandle, LogError, LoggedDisk, LogReader, LogWriter, memorySink, opfsSink } from "logwrites";
import { fileSink } from "logwrites/node";
import { folder, late, serve } from "./support.js";

const KIB = new Uint8Array(1024).fill(0xab);

/** A sink in memory that fails from its `nth` write on, or at its `nth` flush. */
function failing({ write = Infinity, flush = Infinity, error, batchBytes = 1024 }) {
  const memory = memorySink();
  let [nrWrites, nrFlushes] = [0, 0];
  return {
    memory,
    batchBytes,
    write(offset, bytes) {
      if ((nrWrites += 1) >= write) throw error;
      memory.write(offset, bytes);
    },
    flush() {
      if ((nrFlushes += 1) >= flush) throw error;
    },
    read: (offset, length) => memory.read(offset, length),
  };
}

const named = (name) => Object.assign(new Error("as the browser says it"), { name });
const coded = (code) => Object.assign(new Error("as the system says it"), { code });
const CAUSES = [
  [named("QuotaExceededError"), "SINK_FULL"],
  [coded("ENOSPC"), "SINK_FULL"],
  [new RangeError("Array buffer allocation failed"), "SINK_FULL"],
  [named("InvalidStateError"), "SINK_LOST"],
  [coded("EBADF"), "SINK_LOST"],
  [new Error("anything"), "SINK_FAILED"],
  ["not even an error", "SINK_FAILED"],
];

for (const [cause, code] of CAUSES) {
  test(`a write fails with ${cause.name ?? cause} ${cause.code ?? ""}: ${code}`, async () => {
    const sink = failing({ write: 6, error: cause });
    const failures = [];
    const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter({ sink }), onfailure: (error) => failures.push(error) });
    let acknowledged = 0;
    for (let index = 0; index < 50; index += 1) disk.set(index * 1024, KIB, () => (acknowledged += 1));
    assert.equal(failures.length, 1, "once");
    assert.equal(failures[0].code, code);
    assert.equal(failures[0].cause, cause);
    assert.ok(failures[0] instanceof LogError);
    assert.ok(acknowledged > 0 && acknowledged < 50, `${acknowledged} were acknowledged`);
    assert.throws(() => disk.write(0, KIB), { code });
    await assert.rejects(disk.flush(), { code });
    await assert.rejects(disk.sync(), { code });
    assert.equal(disk.failure, failures[0]);
    assert.equal(disk.log.failure, failures[0]);
  });
}

test("the log that a failed sink holds is readable up to where it failed", async () => {
  for (let write = 2; write < 40; write += 1) {
    // From that write on no data fits, and what is there can still be written over.
    const sink = failing({ error: null });
    let nrWrites = 0;
    sink.write = (offset, bytes) => {
      if ((nrWrites += 1) >= write && offset > 0) throw named("QuotaExceededError");
      sink.memory.write(offset, bytes);
    };
    const log = new LogWriter({ sink, superblockInterval: 1000 });
    let nrLogged = 0;
    assert.throws(() => {
      for (;;) {
        log.write(nrLogged * 1024, KIB);
        nrLogged += 1;
        if (nrLogged % 5 === 0) log.mark(`${nrLogged}`);
      }
    }, { code: "SINK_FULL" });
    await log._salvaged;
    const reader = await LogReader.open(sink.memory.blob());
    assert.equal(reader.nrEntries, log.nrEntries, `write ${write}`);
    assert.ok(reader.byteLength + 2048 >= sink.memory.byteLength, "all that is there whole is counted");
    for (const entry of reader.entries()) {
      if (entry.kind === "write") assert.deepEqual(await reader.payload(entry.index), KIB);
    }
  }
});

test("a sink that takes a part of a batch counts what is whole", async () => {
  const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter() });
  const handle = accessHandle(disk, { size: 0 });
  // A file system that is full after 10 KiB, as a browser's tells it: by taking less.
  const full = { ...handle, write: (buffer, { at }) => handle.write(buffer.subarray(0, Math.max(10240 - at, 0)), { at }) };
  const log = new LogWriter({ sink: await opfsSink(full) });
  for (let index = 0; index < 20; index += 1) log.write(index * 1024, KIB);
  await assert.rejects(log.flush(), { code: "SINK_FULL" });
  await log._salvaged;
  assert.equal(log.nrEntries, 6, "each takes 1536 bytes, after a superblock of 512");
  const bytes = new Uint8Array(handle.getSize());
  handle.read(bytes, { at: 0 });
  assert.equal((await LogReader.open(bytes)).nrEntries, 6);
});

test("a flush fails: it is never acknowledged, and no later one is", async () => {
  for (const sink of [failing({ flush: 3, error: coded("EIO") }), { ...late(memorySink()), flush: async () => Promise.reject(coded("EIO")) }]) {
    const failures = [];
    const log = new LogWriter({ sink, onfailure: (error) => failures.push(error.code) });
    const flushes = [];
    for (let index = 0; index < 4 && !log.failure; index += 1) {
      log.write(0, KIB);
      flushes.push(log.flush());
    }
    const results = await Promise.allSettled(flushes);
    assert.equal(results.at(-1).status, "rejected");
    assert.equal(results.at(-1).reason.code, "SINK_FAILED");
    assert.deepEqual(failures, ["SINK_FAILED"]);
    await assert.rejects(log.flush(), { code: "SINK_FAILED" });
  }
});

test("a file whose descriptor is lost", async (t) => {
  const path = folder(t)("log");
  const file = openSync(path, "wx+");
  const sink = { write: (offset, bytes) => void writeSync(file, bytes, 0, bytes.length, offset), flush: () => fsyncSync(file) };
  const log = new LogWriter({ sink });
  log.write(0, KIB);
  await log.flush();
  log.write(1024, KIB);
  closeSync(file);
  await assert.rejects(log.flush(), { code: "SINK_LOST" });
  const reader = await LogReader.open(readFileSync(path));
  assert.equal(reader.nrEntries, 2, "a write and the flush");
});

test("a real file system that is full", async () => {
  // /dev/full takes nothing, with ENOSPC.
  const file = openSync("/dev/full", "w");
  const sink = { write: (offset, bytes) => void writeSync(file, bytes, 0, bytes.length, offset), flush() {} };
  assert.throws(() => new LogWriter({ sink }), { code: "SINK_FULL" });
  closeSync(file);
});

test("a full memory sink, and a log that is full by itself", async () => {
  const log = new LogWriter({ sink: memorySink({ maxBytes: 4096 }) });
  log.write(0, KIB);
  assert.throws(() => { for (;;) log.write(0, KIB); }, { code: "SINK_FULL" });
  assert.equal(log.nrEntries, 2);
  assert.equal((await LogReader.open(await log.blob())).nrEntries, 2);

  const failures = [];
  const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter({ capacity: 8192 }), onfailure: (error) => failures.push(error.code) });
  assert.throws(() => { for (;;) disk.write(0, KIB); }, { code: "NO_SPACE" });
  assert.throws(() => disk.write(0, KIB), { code: "NO_SPACE" });
  assert.deepEqual(failures, ["NO_SPACE"]);
  await disk.flush(); // has its room
  await disk.log.close();
  assert.equal((await LogReader.open(await disk.log.blob())).damage, null);
});

test("a sink that gives promises holds back a caller that writes", async () => {
  let release;
  const slow = { ...late(memorySink()), batchBytes: 4096 };
  const gate = new Promise((resolve) => (release = resolve));
  const write = slow.write;
  slow.write = async (offset, bytes) => {
    await gate;
    return write(offset, bytes);
  };
  const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter({ sink: slow }) });
  let acknowledged = 0;
  for (let index = 0; index < 100; index += 1) disk.set(index * 1024, KIB, () => (acknowledged += 1));
  assert.ok(acknowledged >= 8 && acknowledged < 30, `${acknowledged} of 100 were acknowledged at once`);
  release();
  await disk.sync();
  assert.equal(acknowledged, 100);
});

test("a flush that nothing waits for is not taken for what comes next", async () => {
  const memory = memorySink();
  const gates = [];
  const sink = { write: (offset, bytes) => memory.write(offset, bytes), flush: () => new Promise((resolve) => gates.push(resolve)) };
  const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter({ sink }) });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  gates.shift()(); // that of the new log's superblock
  await turn();
  disk.write(0, KIB);
  disk._flushAndForget();
  await turn();
  gates.shift()();
  await turn();
  let isDurable = false;
  const durable = disk.write(0, KIB, { fua: true }).then(() => (isDurable = true));
  await turn();
  assert.ok(!isDurable);
  gates.shift()();
  await durable;
  assert.deepEqual([...disk.log.entries()].map(({ kind }) => kind), ["write", "flush", "fua"]);
});

test("a bounded number of flushes waits for a sink, and one more is reported as a failure", async () => {
  let release;
  const gate = new Promise((resolve) => (release = resolve));
  const memory = memorySink();
  const sink = { write: (offset, bytes) => memory.write(offset, bytes), flush: () => gate };
  const failures = [];
  const disk = new LoggedDisk({ byteLength: 1 << 20, log: new LogWriter({ sink }), onfailure: (error) => failures.push(error.code) });
  const flushes = [];
  for (let index = 0; index < 600 && !disk.failure; index += 1) {
    disk.write(0, KIB);
    flushes.push(disk.flush());
    await null;
    await null;
  }
  assert.deepEqual(failures, ["BUSY"]);
  assert.throws(() => disk.write(0, KIB), { code: "BUSY" });
  assert.equal(flushes.length, 501);
  release();
  const ends = await Promise.allSettled(flushes);
  assert.deepEqual(ends.map(({ status }) => status === "fulfilled"), ends.map((_, index) => index < 500));
  await disk.log.close();
  const reader = await LogReader.open(memory.blob());
  assert.equal(reader.nrEntries, 1001, "500 writes and flushes, and the write before the one that was refused");
});

test("an access handle over its quota, which Chromium tells by a length that cannot be, is a full sink", async () => {
  const [memory, room] = [memorySink(), 100_000];
  const handle = {
    read: (bytes, { at }) => (bytes.set(memory.read(at, bytes.length)), bytes.length),
    write: (bytes, { at }) => (at + bytes.length > room ? 0xfffffff8 : (memory.write(at, bytes), bytes.length)),
    flush() {},
    getSize: () => memory.byteLength,
    truncate: (byteLength) => memory.truncate(byteLength),
    close() {},
  };
  const failures = [];
  const log = new LogWriter({ sink: { ...(await opfsSink(handle)), byteLength: 0, batchBytes: 4096 }, onfailure: ({ code }) => failures.push(code) });
  assert.throws(() => { for (;;) log.write(0, KIB); }, { code: "SINK_FULL" });
  await log._salvaged;
  assert.deepEqual(failures, ["SINK_FULL"]);
  const reader = await LogReader.open(log.source());
  assert.equal(reader.nrEntries, log.nrEntries);
  assert.ok(reader.nrEntries > 50 && reader.nrEntries * 1536 < room);
});

test("sinks that hold something are not written over", async (t) => {
  const path = folder(t)("log");
  const log = new LogWriter({ sink: fileSink(path) });
  log.write(0, KIB);
  await log.close();
  const { size } = statSync(path);
  const sink = fileSink(path, { resume: true });
  assert.throws(() => new LogWriter({ sink }), { code: "SINK_NOT_EMPTY" });
  assert.equal(statSync(path).size, size);
  assert.throws(() => fileSink(path), { code: "EEXIST" });

  const more = await LogWriter.resume({ sink });
  assert.equal(more.nrEntries, 1);
  more.mark("more");
  await more.close();
  const kinds = [...(await LogReader.open(readFileSync(path))).entries()].map(({ kind }) => kind);
  assert.deepEqual(kinds, ["write", "mark"]);
});

test("values that are not sinks, and places that have none", async () => {
  assert.throws(() => new LogWriter({ sink: {} }), { code: "BAD_ARGUMENT" });
  await assert.rejects(opfsSink("log"), { code: "UNSUPPORTED" });
  await assert.rejects(opfsSink({}), { code: "UNSUPPORTED" });
  await assert.rejects(LogWriter.resume({ sink: { write() {}, flush() {} } }), { code: "BAD_ARGUMENT" });
});

test("a server without ranges", async (t) => {
  const { fromUrl } = await import("logwrites");
  await assert.rejects(serve(t, KIB, { ranges: false }).then((url) => fromUrl(url)), { code: "NO_RANGES" });
  await assert.rejects(fromUrl("http://127.0.0.1:1/none"), { code: "SOURCE_FAILED" });
});
