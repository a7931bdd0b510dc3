/** Saving a disk's state with v86's, and going on from it: rewinding the log, or forking it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { LoggedDisk, LogReader, LogWriter, memorySink } from "logwrites";
import { fileSink } from "logwrites/node";
import { collect, folder, late } from "./support.js";

const sector = (byte) => new Uint8Array(512).fill(byte);
const base = Uint8Array.from({ length: 8192 }, (_, index) => index & 0xff);

/** As v86 does with what it saves: numbers, strings and typed arrays survive. */
function saved(disk) {
  const state = disk.get_state();
  for (const value of state) assert.ok(["number", "string"].includes(typeof value), `${value} cannot be saved`);
  return JSON.parse(JSON.stringify(state));
}

const names = (log) => log.marks().map(({ name }) => name);

test("restoring forks the log, and both branches stay", async () => {
  const forks = [];
  const disk = new LoggedDisk({ base, log: new LogWriter(), onfork: (log, old) => forks.push([log, old]) });
  disk.write(0, sector(1));
  disk.mark("one");
  const state = saved(disk);
  const then = await collect(disk.image());
  disk.write(0, sector(2));
  disk.mark("two");
  const two = saved(disk);
  const first = disk.log;

  disk.set_state(state);
  assert.deepEqual(await collect(disk.image()), then);
  assert.equal(forks.length, 1);
  assert.deepEqual(forks[0], [disk.log, first]);
  disk.write(512, sector(3));
  disk.mark("three");
  assert.deepEqual(names(disk.log), ["one", "three"]);
  assert.deepEqual(names(first), ["one", "two"]);
  const read = await LogReader.open(await disk.log.blob());
  assert.deepEqual(await collect(read.diskAt(read.nrEntries, base).image()), await collect(disk.image()));

  disk.set_state(two); // of the branch that was left
  assert.deepEqual(names(disk.log), ["one", "two"]);
  assert.equal((await disk.readAt(0, 1))[0], 2);
  assert.notEqual(disk.log, first);
});

test("restoring rewinds the log", async (t) => {
  for (const sink of [memorySink(), fileSink(folder(t)("log"))]) {
    const disk = new LoggedDisk({ base, log: new LogWriter({ sink }), restore: "rewind" });
    disk.write(0, sector(1));
    disk.mark("one");
    const state = saved(disk);
    for (let index = 0; index < 5000; index += 1) disk.write(512, sector(index & 0xff));
    disk.mark("two");
    disk.set_state(state);
    assert.equal(disk.log.nrEntries, 2);
    assert.deepEqual(await disk.readAt(512, 512), base.slice(512, 1024));
    disk.mark("three");
    await disk.flush();
    const reader = await LogReader.open(await disk.log.blob());
    assert.deepEqual(names(reader), ["one", "three"]);
    assert.equal((await disk.log.blob()).size, reader.byteLength, "nothing is left behind");
  }
});

test("a state is restored in another run, over the log that it was saved with", async (t) => {
  const path = folder(t)("log");
  const disk = new LoggedDisk({ base, log: new LogWriter({ sink: fileSink(path), id: "mine" }) });
  disk.write(0, sector(1));
  const state = saved(disk);
  disk.write(0, sector(2));
  await disk.log.close();

  const log = await LogWriter.resume({ sink: fileSink(path, { resume: true }), id: "mine" });
  const again = new LoggedDisk({ base: base.slice(), log, restore: "rewind" });
  again.set_state(state);
  assert.equal((await again.readAt(0, 1))[0], 1);
  assert.equal(again.log.nrEntries, 1);
});

test("a state of something else is refused, and changes nothing", () => {
  const disk = new LoggedDisk({ base, log: new LogWriter({ id: "a" }) });
  disk.write(0, sector(1));
  const state = saved(disk);
  const others = [
    new LoggedDisk({ base, log: new LogWriter({ id: "b" }) }),
    new LoggedDisk({ base: base.map((byte) => byte ^ 1), log: new LogWriter({ id: "a" }) }),
    new LoggedDisk({ base, byteLength: 16384, log: new LogWriter({ id: "a" }) }),
    new LoggedDisk({ base, log: new LogWriter({ id: "a" }) }), // has no such entry
  ];
  for (const other of others) assert.throws(() => other.set_state(state), { code: "STATE_MISMATCH" });
  const elsewhere = new LoggedDisk({ base, log: new LogWriter({ id: "a" }) });
  elsewhere.write(0, new Uint8Array(1024)); // an entry, that ends elsewhere
  assert.throws(() => elsewhere.set_state(state), { code: "STATE_MISMATCH" });
  assert.throws(() => elsewhere.set_state([]), { code: "STATE_MISMATCH" });
});

test("logs are forked and rewound over a slow sink", async () => {
  const log = new LogWriter({ sink: { ...late(memorySink()), batchBytes: 600 } });
  for (let index = 0; index < 40; index += 1) log.write(index * 512, sector(index));
  const flush = log.flush();
  const fork = await log.fork(17, { sink: { ...late(memorySink()), batchBytes: 600 } });
  await flush;
  fork.mark("fork");
  await log.rewind(5);
  log.mark("cut");
  for (const [writer, count, name] of [[fork, 17, "fork"], [log, 5, "cut"]]) {
    await writer.sync();
    const reader = await LogReader.open(await writer.blob());
    assert.deepEqual([reader.nrEntries, ...names(reader)], [count + 1, name]);
    assert.deepEqual(await reader.payload(count - 1), sector(count - 1));
  }
  await assert.rejects(async () => log.forkNow(3), { code: "NOT_SYNC" });
  assert.throws(() => log.rewindNow(99), { code: "OUT_OF_RANGE" });
});

test("a log cut while flushes wait for a slow sink continues", async () => {
  const log = new LogWriter({ sink: { ...late(memorySink()), batchBytes: 600 } });
  const waiting = [];
  for (let index = 0; index < 9; index += 1) {
    log.write(0, sector(index));
    waiting.push(log.flush());
  }
  log.rewindNow(4);
  log.write(512, sector(77));
  assert.deepEqual(await log.diskAt(5).readAt(0, 1024), new Uint8Array([...sector(1), ...sector(77)]));
  await log.flush();
  const ends = await Promise.allSettled(waiting);
  assert.ok(ends.every(({ status, reason }) => status === "fulfilled" || reason.code === "CLOSED"));
  const reader = await LogReader.open(await log.blob());
  assert.deepEqual([...reader.entries()].map(({ kind }) => kind), ["write", "flush", "write", "flush", "write", "flush"]);
  assert.deepEqual(await reader.payload(4), sector(77));
});
