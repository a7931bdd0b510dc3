/** v86, unmodified: a boot sector's writes and flushes, all in the log, in order. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { ataTap, init, LoggedDisk, LogReader, LogWriter, memorySink } from "logwrites";
import { bios, run, TIMEOUT_MS } from "./machine.js";
import { collect, folder, late } from "./support.js";

await init();

const VERSIONS = { "the newest": "v86", "0.5.451": "v86-0.5.451" };
const NR_SECTORS = 2048;

/** What the boot sector does to hda: kind, first sector, number of sectors, byte; or a mark's name. */
const EXPECTED = [
  ["mark", "booted"],
  ["write", 16, 2, "A"],
  ["flush"],
  ["write", 32, 8, "B"],
  ["write", 100, 64, "C"],
  ["flush"],
  ["write", 200, 1],
  ["write", 201, 1],
  ["fua", 300, 1, "D"],
  ["fua", 301, 1],
  ["write", 302, 1, "E"],
  ["mark", "done"],
];

function bootSector(t) {
  const out = folder(t)("boot.bin");
  try {
    execFileSync("nasm", ["-f", "bin", fileURLToPath(new URL("guest/boot.asm", import.meta.url)), "-o", out]);
  } catch (error) {
    assert.fail(`nasm is needed: apt-get install nasm (${error.message})`);
  }
  return new Uint8Array(readFileSync(out));
}

/** A disk that the boot sector starts from. */
function bootable(t) {
  const base = new Uint8Array(NR_SECTORS * 512).fill(0x5a);
  base.set(bootSector(t));
  return base;
}

/** Runs v86 until the guest has said that it is done. */
async function runToEnd(packageName, options) {
  const { emulator } = await run(packageName, { ...options, until: /done\r\n$/ });
  return emulator;
}

const wasmOf = (name) => new URL(`../node_modules/${name}/build/v86.wasm`, import.meta.url);

/** The entries of a log, as EXPECTED has them. */
async function told(reader) {
  const names = reader.marks().map(({ name }) => name);
  const entries = [];
  for (const { index, kind, sector, nrSectors } of reader.entries()) {
    if (kind === "mark") entries.push([kind, names.shift()]);
    else if (kind === "flush") entries.push([kind]);
    else {
      const payload = await reader.payload(index);
      const isOneByte = payload.every((byte) => byte === payload[0]);
      entries.push([kind, Number(sector), Number(nrSectors), ...(isOneByte ? [String.fromCharCode(payload[0])] : [])]);
    }
  }
  return entries;
}

/** Words 82 and 85 of IDENTIFY, as the guest has written them to a sector. */
async function writeCache(disk, sector) {
  const words = new DataView((await disk.readAt(sector * 512, 512)).slice().buffer);
  return [82, 85].map((word) => (words.getUint16(word * 2, true) & 0x20) !== 0);
}

for (const [version, packageName] of Object.entries(VERSIONS)) {
  test(`${version}: every write and flush is in the log, in order`, async (t) => {
    const base = bootable(t);
    const untouched = base.slice();
    const hda = new LoggedDisk({ base, log: new LogWriter() });
    const hdb = new LoggedDisk({ byteLength: NR_SECTORS * 512, log: new LogWriter() });
    await runToEnd(packageName, { hda, hdb, tap: ataTap({ wasm: wasmOf(packageName), disks: { hda, hdb } }) });

    const reader = await LogReader.open(await hda.log.blob());
    assert.deepEqual(await told(reader), EXPECTED);
    assert.deepEqual(await collect(reader.diskAt(reader.nrEntries, untouched).image()), await collect(hda.image()));
    assert.deepEqual(base, untouched);
    assert.deepEqual(await told(await LogReader.open(await hdb.log.blob())), [["write", 5, 1, "F"], ["flush"]]);

    // The cache is advertised on both ways of reading, and says when it is off.
    assert.deepEqual(await writeCache(hda, 200), [true, true]);
    assert.deepEqual(await writeCache(hda, 201), [true, true]);
    assert.deepEqual(await writeCache(hda, 301), [true, false]);
  });

  test(`${version}: boots from a crash of itself, over a slow base and a slow sink`, async (t) => {
    const base = bootable(t);
    const first = new LoggedDisk({ base: new Blob([base]), log: new LogWriter({ sink: late(memorySink()) }) });
    await runToEnd(packageName, { hda: first, tap: ataTap({ wasm: readFileSync(wasmOf(packageName)), disks: { hda: first } }) });
    const crash = first.diskAt(first.log.nextFlush(0) + 2);
    const second = new LoggedDisk({ base: crash, log: new LogWriter() });
    const module = new WebAssembly.Module(readFileSync(wasmOf(packageName)));
    await runToEnd(packageName, { hda: second, tap: ataTap({ wasm: module, disks: { hda: second } }) });
    const expected = EXPECTED.map((entry) => entry[1] === "booted" || entry);
    assert.deepEqual((await told(await LogReader.open(await second.log.blob()))).map((entry) => entry[1] === "booted" || entry), expected);
    assert.deepEqual(await collect(second.image()), await collect(first.image()));
  });
}

test("without an advertised write cache there is none", async (t) => {
  const hda = new LoggedDisk({ base: bootable(t), log: new LogWriter() });
  await runToEnd("v86", { hda, tap: ataTap({ wasm: wasmOf("v86"), disks: { hda }, writeCache: false }) });
  assert.deepEqual(await writeCache(hda, 200), [false, false]);
  assert.deepEqual((await told(hda.log)).filter(([kind]) => kind === "fua"), []);
});

test("a saved state goes back in the log, too", async (t) => {
  const hda = new LoggedDisk({ base: bootable(t), log: new LogWriter() });
  const tap = ataTap({ wasm: wasmOf("v86"), disks: { hda } });
  const emulator = await runToEnd("v86", { hda, tap });
  const state = await emulator.save_state();
  const { nrEntries } = hda.log;
  const image = await collect(hda.image());
  hda.write(0, new Uint8Array(512).fill(0xff));
  hda.mark("after the state");
  await emulator.restore_state(state);
  assert.equal(hda.log.nrEntries, nrEntries);
  assert.deepEqual(await collect(hda.image()), image);
});

test("a disk whose sink fails does not kill the emulator, and acknowledges nothing more", async (t) => {
  let nrWrites = 0;
  const memory = memorySink();
  const sink = {
    batchBytes: 2048,
    write(offset, bytes) {
      if ((nrWrites += 1) > 8 && offset > 0) throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
      memory.write(offset, bytes);
    },
    flush() {},
    read: (offset, length) => memory.read(offset, length),
  };
  const failures = [];
  const hda = new LoggedDisk({ base: bootable(t), log: new LogWriter({ sink }), onfailure: (error) => failures.push(error.code) });
  const { V86 } = await import("v86");
  const emulator = new V86({ bios: { buffer: bios() }, memory_size: 16 << 20, hda: hda.forV86(), wasm_fn: ataTap({ wasm: wasmOf("v86"), disks: { hda } }).wasm_fn, disable_speaker: true, autostart: true });
  const deadline = Date.now() + TIMEOUT_MS;
  while (failures.length === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(failures, ["SINK_FULL"]);
  assert.ok(emulator.is_running());
  await emulator.stop();
  await hda.log._salvaged;
  const reader = await LogReader.open(memory.blob());
  assert.equal(reader.nrEntries, hda.log.nrEntries);
  assert.deepEqual(await told(reader), EXPECTED.slice(1, 1 + reader.nrEntries));
});

test("a version of v86 that lacks something is refused", async () => {
  const { wasm_fn } = ataTap({ wasm: wasmOf("v86"), disks: {} });
  await assert.rejects(wasm_fn({ env: { io_port_write8() {}, io_port_read16() {} } }), {
    code: "UNSUPPORTED",
    message: /io_port_read8, io_port_read32/,
  });
  const disk = new LoggedDisk({ byteLength: 8192, log: new LogWriter({ sectorSize: 4096 }) });
  assert.throws(() => disk.forV86(), { code: "UNSUPPORTED" });
});
