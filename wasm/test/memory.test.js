/** The module's memory: disks give theirs back, and there is an error when it is used up. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { LoggedDisk, LogWriter } from "logwrites";
import { folder } from "./support.js";

const MODULE = new URL("../pkg/logwrites_wasm_bg.wasm", import.meta.url);
const MAX_PAGES = 1024; // 64 MiB

test("a disk that was freed cannot be read, and another one can", async () => {
  const disk = new LoggedDisk({ byteLength: 8192, log: new LogWriter() });
  disk.write(0, new Uint8Array(512).fill(7));
  const [one, other] = [disk.diskAt(1), disk.diskAt(1)];
  one.free();
  one.free();
  assert.throws(() => one.readAt(0, 512), { code: "CLOSED" });
  assert.throws(() => [...one.extents()], { code: "CLOSED" });
  assert.equal((await other.readAt(0, 1))[0], 7);
});

test("disks that are freed are made without end, and memory that is used up is an error", (t) => {
  const path = folder(t);
  writeFileSync(path("small.wasm"), limited(readFileSync(MODULE), MAX_PAGES));
  const script = MAIN.replace("PACKAGE", new URL("../js/index.js", import.meta.url).href);
  writeFileSync(path("main.mjs"), script);
  assert.equal(execFileSync(process.execPath, ["main.mjs"], { cwd: path(""), encoding: "utf8" }), "2000 freed\nNO_MEMORY\n1\n");
});

/** A disk of 20,000 runs takes about a MiB. */
const MAIN = `
import { readFileSync } from "node:fs";
import { init, LogWriter } from "PACKAGE";
await init(new WebAssembly.Module(readFileSync("small.wasm")));
const log = new LogWriter();
for (let nth = 0; nth < 20_000; nth += 1) log.write(nth * 1024, new Uint8Array(512));
for (let nth = 0; nth < 2000; nth += 1) log.diskAt(20_000 - (nth % 7)).free();
console.log("2000 freed");
const kept = [];
try {
  for (;;) kept.push(log.diskAt(20_000));
} catch (error) {
  console.log(error.code);
}
for (const disk of kept) disk.free();
const other = new LogWriter();
other.write(0, new Uint8Array(512));
console.log(other.diskAt(1).readAt(0, 512).length / 512);
`;

/** The same module, whose memory cannot grow beyond so many pages. */
function limited(bytes, maxPages) {
  for (let at = 8; at < bytes.length; ) {
    const [length, body] = number(bytes, at + 1);
    if (bytes[at] === MEMORY_SECTION) {
      assert.deepEqual([bytes[body], bytes[body + 1]], [1, 0], "one memory, without a limit");
      const [, end] = number(bytes, body + 2);
      const section = [1, 1, ...bytes.subarray(body + 2, end), ...digits(maxPages)];
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([MEMORY_SECTION, section.length, ...section]), bytes.subarray(body + length)]);
    }
    at = body + length;
  }
  return assert.fail("the module has no memory");
}

/** A number in LEB128, and where it ends. */
function number(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7, at += 1) {
    value |= (bytes[at] & 0x7f) << shift;
    if (bytes[at] < 0x80) return [value, at + 1];
  }
}

function digits(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...digits(value >> 7)];
}

const MEMORY_SECTION = 5;
