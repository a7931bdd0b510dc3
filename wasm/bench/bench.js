/**
 * How fast the package is: `node wasm/bench.mjs`, after `wasm/build`. Each number is the median of several rounds.
 */

import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { accessHandle, init, LoggedDisk, LogReader, LogWriter, memorySink, opfsSink } from "logwrites";
import { fileSink } from "logwrites/node";

const ROUNDS = 7;
const KIB = 1024;
const MIB = 1024 * KIB;
const folder = mkdtempSync(join(tmpdir(), "logwrites-bench-"));
let nrFiles = 0;
const path = () => join(folder, `${(nrFiles += 1)}`);

const SINKS = {
  "memory": () => memorySink(),
  "file, batches of 1 MiB": () => fileSink(path()),
  "file, batches of 4 KiB": () => Object.assign(fileSink(path()), { batchBytes: 4 * KIB }),
  "access handle over a disk": () => opfsSink(accessHandle(new LoggedDisk({ byteLength: 1 << 30, log: new LogWriter() }))),
  "promises (FileHandle)": async () => {
    const file = await open(path(), "wx+");
    return {
      write: async (offset, bytes) => void (await file.write(bytes, 0, bytes.length, offset)),
      flush: () => file.sync(),
      close: () => file.close(),
      read: async (offset, length) => (await file.read(new Uint8Array(length), 0, length, offset)).buffer,
    };
  },
};

await init();
try {
  await writes();
  await sinks();
  await million();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function writes() {
  console.log("one write, into memory, and beside it one copy of the bytes | median of", ROUNDS, "rounds");
  for (const [size, count] of [[512, 40_000], [4 * KIB, 20_000], [64 * KIB, 2_000]]) {
    const bytes = new Uint8Array(size).fill(1);
    const logged = await median(async () => {
      const disk = new LoggedDisk({ byteLength: MIB, log: new LogWriter() });
      return timed(() => {
        for (let index = 0; index < count; index += 1) disk.write((index * size) % MIB, bytes);
      });
    });
    const copied = await median(async () => {
      const chunks = Array.from({ length: Math.ceil((size * count) / MIB) }, () => new Uint8Array(MIB));
      return timed(() => {
        for (let index = 0; index < count; index += 1) chunks[Math.floor((index * size) / MIB)].set(bytes, (index * size) % MIB);
      });
    });
    console.log(`  ${kib(size).padStart(7)}   ${ns(logged, count)}   copy alone ${ns(copied, count)}`);
  }
}

async function sinks() {
  console.log("256 MiB in writes of 4 KiB and 64 KiB, with a flush at the end");
  for (const [name, make] of Object.entries(SINKS)) {
    for (const size of [4 * KIB, 64 * KIB]) {
      const bytes = new Uint8Array(size).fill(1);
      const seconds = await median(async () => {
        const disk = new LoggedDisk({ byteLength: MIB, log: new LogWriter({ sink: await make() }) });
        const start = performance.now();
        for (let done = 0; done < 256 * MIB; done += size) {
          disk.write(done % MIB, bytes);
          const room = disk.log.room();
          if (room) await room;
        }
        await disk.flush();
        const end = performance.now();
        await disk.log.close();
        return (end - start) / 1000;
      }, 3);
      console.log(`  ${name.padEnd(28)} ${kib(size).padStart(7)}   ${(256 / seconds).toFixed(0).padStart(6)} MiB/s`);
    }
  }
  const seconds = await median(async () => {
    const [file, bytes] = [openSync(path(), "wx"), new Uint8Array(MIB).fill(1)];
    const start = performance.now();
    for (let index = 0; index < 256; index += 1) writeSync(file, bytes, 0, MIB, index * MIB);
    fsyncSync(file);
    closeSync(file);
    return (performance.now() - start) / 1000;
  }, 3);
  console.log(`  ${"beside it: 1 MiB to a file".padEnd(28)} ${"".padStart(7)}   ${(256 / seconds).toFixed(0).padStart(6)} MiB/s`);
}

async function million() {
  console.log("a log of 1,000,000 entries of 512 bytes, as a Blob");
  const log = new LogWriter();
  const bytes = new Uint8Array(512).fill(1);
  for (let index = 0; index < 1_000_000; index += 1) log.write(((index * 7919) % (1 << 21)) * 512, bytes);
  const blob = await log.blob();
  let reader;
  const report = async (what, act) => {
    const start = performance.now();
    await act();
    console.log(`  ${what.padEnd(40)} ${(performance.now() - start).toFixed(0).padStart(6)} ms`);
  };
  await report("open", async () => (reader = await LogReader.open(blob)));
  await report("columns of all", () => reader.columns());
  await report("the disk at the end, first time", () => reader.diskAt(1_000_000));
  await report("the disk at 100 other points", () => {
    for (let point = 5000; point < 1_000_000; point += 10_000) reader.diskAt(point);
  });
  await report("1000 rows of entries, at 100 places", () => {
    for (let from = 0; from < 1_000_000; from += 10_000) [...reader.entries(from, from + 1000)];
  });
}

async function median(round, rounds = ROUNDS) {
  const times = [];
  for (let index = 0; index < rounds; index += 1) times.push(await round());
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)];
}

function timed(act) {
  const start = performance.now();
  act();
  return (performance.now() - start) / 1000;
}

function ns(seconds, count) {
  return `${((seconds / count) * 1e9).toFixed(0).padStart(7)} ns`;
}

function kib(bytes) {
  return bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`;
}
