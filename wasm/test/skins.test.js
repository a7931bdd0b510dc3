/** The shapes that other emulators and wasm databases want. */

import assert from "node:assert/strict";
import { closeSync, openSync, readSync, writeSync, ftruncateSync, fstatSync } from "node:fs";
import { test } from "node:test";

import { accessHandle, LoggedDisk, LogReader, LogWriter, syncDisk } from "logwrites";
import { folder, random, SEED } from "./support.js";

const CAPACITY = 1 << 16;

test("an access handle does what a file does, byte for byte", async (t) => {
  const rng = random(SEED);
  const file = openSync(folder(t)("model"), "w+");
  const disk = new LoggedDisk({ byteLength: CAPACITY, log: new LogWriter() });
  const handle = accessHandle(disk);
  for (let op = 0; op < 3000; op += 1) {
    const at = rng.below(CAPACITY - 4096);
    const bytes = rng.bytes(rng.below(4096));
    switch (rng.below(5)) {
      case 0:
      case 1:
        assert.equal(handle.write(rng.below(2) ? bytes : bytes.slice().buffer, { at }), bytes.length);
        if (bytes.length > 0) writeSync(file, bytes, 0, bytes.length, at);
        break;
      case 2: {
        const found = new Uint8Array(bytes.length);
        const expected = new Uint8Array(bytes.length);
        assert.equal(handle.read(found, { at }), readSync(file, expected, 0, expected.length, at), `op ${op}`);
        assert.deepEqual(found, expected, `op ${op}`);
        break;
      }
      case 3:
        if (rng.below(4) === 0) {
          handle.truncate(at);
          ftruncateSync(file, at);
        }
        break;
      default:
        handle.flush();
    }
    if (bytes.length > 0) assert.equal(handle.getSize(), fstatSync(file).size, `op ${op}`);
  }
  const size = handle.getSize();
  const whole = new Uint8Array(size);
  readSync(file, whole, 0, size, 0);
  const reader = await LogReader.open(await disk.log.blob());
  assert.deepEqual(await reader.diskAt(reader.nrEntries, null, { byteLength: CAPACITY }).readAt(0, size), whole);
  closeSync(file);

  assert.throws(() => handle.write(new Uint8Array(10), { at: CAPACITY - 5 }), { code: "NO_SPACE" });
  assert.throws(() => handle.truncate(CAPACITY + 1), { code: "NO_SPACE" });
  handle.close();
  for (const act of ["flush", "getSize"]) assert.throws(() => handle[act](), { code: "CLOSED" });
});

test("a synchronous disk", () => {
  const base = Uint8Array.from({ length: 8192 }, (_, index) => index & 0xff);
  const disk = new LoggedDisk({ base, log: new LogWriter() });
  const skin = syncDisk(disk);
  assert.equal(skin.size, 8192);
  assert.equal(skin.write(Uint8Array.of(1, 2, 3, 4), 700, 3), 3);
  const buffer = new Uint8Array(6);
  assert.equal(skin.read(buffer, 698, 6), 6);
  assert.deepEqual([...buffer], [698 & 0xff, 699 & 0xff, 1, 2, 3, 703 & 0xff]);
  assert.equal(skin.read(buffer, 8190, 6), 2, "the disk ends");
});

test("a base that only gives promises cannot be read at once", async () => {
  const disk = new LoggedDisk({ base: new Blob([new Uint8Array(8192)]), log: new LogWriter() });
  const skin = syncDisk(disk);
  assert.throws(() => skin.read(new Uint8Array(512), 0, 512), { code: "NOT_SYNC" });
  skin.write(new Uint8Array(512).fill(7), 0, 512); // whole sectors need no reading
  const buffer = new Uint8Array(512);
  skin.read(buffer, 0, 512);
  assert.equal(buffer[0], 7);
  assert.throws(() => skin.write(new Uint8Array(1), 1024, 1), { code: "NOT_SYNC" });
});
