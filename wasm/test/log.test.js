/** Writing a log and reading it: numbers, errors, and what a reader tells. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { LogError, LogReader, LogWriter } from "logwrites";
import { random, SEED, serve } from "./support.js";

const sector = (byte) => new Uint8Array(512).fill(byte);

test("nothing works before init", () => {
  const script = `import { LogWriter } from "logwrites"; try { new LogWriter(); } catch (error) { console.log(error.code); }`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", cwd: new URL("..", import.meta.url) });
  assert.equal(out.trim(), "NOT_INITIALISED");
});

test("what cannot be logged is refused with a code, and changes nothing", () => {
  const log = new LogWriter({ sectorSize: 512 });
  const refused = [
    [() => log.write(1, sector(1)), "UNALIGNED"],
    [() => log.write(0, new Uint8Array(100)), "UNALIGNED"],
    [() => log.write(-512, sector(1)), "UNSAFE_NUMBER"],
    [() => log.write(0.5, sector(1)), "UNSAFE_NUMBER"],
    [() => log.write(NaN, sector(1)), "UNSAFE_NUMBER"],
    [() => log.write(2 ** 53, sector(1)), "UNSAFE_NUMBER"],
    [() => log.discard(0, 2 ** 60), "UNSAFE_NUMBER"],
    [() => log.mark("x".repeat(480)), "BAD_MARK"],
    [() => log.mark("a\0b"), "BAD_MARK"],
    [() => log.entry(0), "OUT_OF_RANGE"],
    [() => log.diskAt(1), "OUT_OF_RANGE"],
    [() => log.diskAt(-1), "UNSAFE_NUMBER"],
    [() => new LogWriter({ sectorSize: 513 }), "BAD_SECTOR_SIZE"],
    [() => new LogWriter({ capacity: 100 }), "NO_SPACE"],
    [() => new LogWriter({ superblockPolicy: "none" }), "BAD_ARGUMENT"],
    [() => new LogWriter({ superblockInterval: 0 }), "BAD_ARGUMENT"],
  ];
  for (const [act, code] of refused) assert.throws(act, (error) => error instanceof LogError && error.code === code, `${act}: ${code}`);
  assert.equal(log.nrEntries, 0);
  log.mark("x".repeat(479));
  log.write(Number.MAX_SAFE_INTEGER - 1023, sector(1)); // sectors up to 2^53 are exact
  assert.equal(log.entry(1).sector, BigInt(Number.MAX_SAFE_INTEGER - 1023) / 512n);
});

test("what no log is, and logs that are damaged", async () => {
  const log = new LogWriter();
  for (let index = 0; index < 10; index += 1) log.write(index * 512, sector(index));
  const whole = new Uint8Array(await (await log.blob()).arrayBuffer());
  const cases = [
    [new Uint8Array(0), "NOT_A_LOG"],
    [new Uint8Array(4096), "NOT_A_LOG"],
    [changed(whole, 8, 2), "UNKNOWN_VERSION"],
    [changed(whole, 24, 1), "BAD_SECTOR_SIZE"],
    [whole.slice(0, 5000), "MALFORMED"],
    [changed(whole, 512 + 1024 * 3, 0xff, 16), "MALFORMED"],
  ];
  for (const [bytes, code] of cases) await assert.rejects(LogReader.open(bytes), { code }, code);

  const damaged = changed(whole, 512 + 1024 * 3 + 8, 0, 8); // the fourth entry has no sectors
  await assert.rejects(LogReader.open(damaged), { code: "MALFORMED", entry: 3, offset: 512 + 1024 * 3 });
  const reader = await LogReader.open(new Blob([damaged]), { partial: true });
  assert.deepEqual([reader.nrEntries, reader.counted, reader.damage.entry], [3, 10n, 3]);

  // A log that says it has more entries than any could.
  const boastful = changed(whole, 16, 0xff, 8);
  await assert.rejects(LogReader.open(boastful), { code: "MALFORMED", entry: 10 });
});

test("numbers beyond 2^53 in a log are exact, as bigint", async () => {
  const log = new LogWriter({ sectorSize: 32 });
  log.writeZeroes(0, 32);
  const bytes = new Uint8Array(await (await log.blob()).arrayBuffer());
  new DataView(bytes.buffer).setBigUint64(32, 2n ** 57n + 1n, true);
  const reader = await LogReader.open(bytes);
  assert.equal(reader.entry(0).sector, 2n ** 57n + 1n);
  assert.equal(reader.columns().sector[0], 2 ** 57, "rounded");
  assert.equal(reader.entry(0).flags, 0n);
});

test("what comes next, who wrote, and what changed", async () => {
  const log = new LogWriter();
  log.write(0, new Uint8Array(1024).fill(1)); // 0
  log.mark("a"); // 1
  log.flush(); // 2
  log.write(512, sector(2)); // 3
  log.discard(4096, 512); // 4
  log.mark("ä"); // 5
  log.write(0, sector(3), { fua: true }); // 6
  for (const view of [log, await LogReader.open(await log.blob())]) {
    assert.deepEqual([0, 2, 3].map((from) => view.nextFlush(from)), [2, 2, null]);
    assert.deepEqual([2, 3, 7].map((point) => view.previousFlush(point)), [null, 2, 2]);
    assert.deepEqual([0, 2, 6].map((from) => view.nextMark(from)), [1, 5, null]);
    // Entry 6 is durable by itself, and entry 0 by the flush.
    assert.deepEqual([view.volatile(7), view.volatile(7, 1), view.volatile(2)], [[4, 3], [4], [0]]);
    assert.deepEqual([view.nrVolatile(7), view.volatileAmong(7, [6, 3, 0]), view.volatileAmong(3, [3])], [2, [3], []]);
    assert.deepEqual(view.marks().map(({ name, entry, point }) => [name, entry, point]), [["a", 1, 2], ["ä", 5, 6]]);
    assert.deepEqual([3, 4, 7].map((point) => view.writerOf(point, 700)), [0, 3, 3]);
    assert.deepEqual([view.writerOf(7, 4200), view.writerOf(7, 9000)], [4, null]);
    assert.deepEqual(view.changes(3, 7), [
      { offset: 0, length: 512, zeros: false, entry: 6 },
      { offset: 512, length: 512, zeros: false, entry: 3 },
      { offset: 4096, length: 512, zeros: true, entry: 4 },
    ]);
    assert.deepEqual([...view.entries(4, 5)][0], {
      index: 4, point: 5, kind: "discard", offset: 4096, sector: 8n, nrSectors: 1n, flags: 4n, payloadLength: 0,
    });
    assert.deepEqual(await view.payload(0, { offset: 1000, length: 100 }), new Uint8Array(24).fill(1));
    assert.deepEqual(await view.payload(4), new Uint8Array(0));
    // The write of entry 3 is lost: sector 1 is what entry 0 wrote.
    const disk = view.diskAt(7, null, { byteLength: 8192, without: [3] });
    assert.deepEqual(await disk.readAt(0, 1024), new Uint8Array([...sector(3), ...sector(1)]));
    assert.throws(() => disk.readAt(8000, 512), { code: "OUT_OF_RANGE" });
    // The same by the name of the state, which says also whether a crash can leave it.
    assert.equal(view.stateAt(7, [4, 3]), "7^3-4");
    assert.deepEqual([view.stateOf("7^3-4"), view.stateOf("7")], [{ point: 7, lost: [3, 4] }, { point: 7, lost: [] }]);
    const crashed = view.diskAt(view.stateAt(7, new Set([3])), null, { byteLength: 8192 });
    assert.equal(crashed.id, `zeros/${view.id}@7^3`);
    assert.deepEqual(await crashed.readAt(0, 8192), await disk.readAt(0, 8192));
    // Entry 6 was in flight, and the discard of entry 4 has one sector.
    assert.deepEqual(await view.diskAt("7^6").readAt(0, 512), sector(1));
    assert.deepEqual(await view.diskAt("7^4:0").readAt(0, 512), sector(3));
    assert.throws(() => view.stateAt(7, [0]), { code: "BAD_STATE", message: "entry 0 is durable at point 7: flush 2 covers it" });
    for (const [name, code] of [["7^0", "BAD_STATE"], ["7^", "BAD_STATE"], ["7^4,3", "BAD_STATE"], ["x", "BAD_STATE"], ["99", "OUT_OF_RANGE"]]) {
      assert.throws(() => view.diskAt(name), { code }, name);
      assert.throws(() => view.stateOf(name), { code }, name);
    }
    assert.throws(() => view.stateOf("7^4:0"), { code: "UNSUPPORTED" });
    assert.throws(() => view.diskAt("7^3", null, { without: [4] }), { code: "BAD_ARGUMENT" });
  }
});

test("a log is read in ranges: its payloads are left where they are", async (t) => {
  const log = new LogWriter();
  const big = new Uint8Array(1 << 20).fill(9);
  for (let index = 0; index < 40; index += 1) {
    log.write(index * big.length, big);
    for (let small = 0; small < 3; small += 1) log.write(small * 512, sector(small));
    log.mark(`round ${index} ${"x".repeat(index * 10)}`);
  }
  const bytes = new Uint8Array(await (await log.blob()).arrayBuffer());
  let nrRead = 0;
  const source = {
    byteLength: bytes.length,
    readAt: async (offset, length) => {
      nrRead += length;
      return bytes.subarray(offset, offset + length);
    },
  };
  const seen = [];
  const reader = await LogReader.open(source, { onprogress: (progress) => seen.push(progress) });
  assert.equal(reader.nrEntries, log.nrEntries);
  assert.ok(nrRead < bytes.length / 3, `${nrRead} of ${bytes.length} bytes were read`);
  assert.ok(seen.length > 1 && seen.at(-1).offset === bytes.length);
  assert.deepEqual(reader.columns(), log.columns());
  assert.deepEqual(reader.marks(), log.marks());

  const stop = new AbortController();
  await assert.rejects(LogReader.open(source, { signal: stop.signal, onprogress: () => stop.abort() }), { name: "AbortError" });

  const { fromUrl } = await import("logwrites");
  const remote = await LogReader.open(await fromUrl(await serve(t, bytes)));
  assert.deepEqual(remote.columns(), log.columns());
  assert.equal(remote.entry(50).payloadLength, big.length);
  assert.deepEqual(await remote.payload(50), big);
});

test("windows of any size give the same entries", async () => {
  const rng = random(SEED);
  for (const sectorSize of [64, 512, 4096]) {
    const log = new LogWriter({ sectorSize });
    for (let index = 0; index < 3000; index += 1) {
      if (rng.below(5) === 0) log.mark("m".repeat(rng.below(30)));
      else log.write(rng.below(100) * sectorSize, new Uint8Array(sectorSize * rng.below(4)));
    }
    const bytes = new Uint8Array(await (await log.blob()).arrayBuffer());
    assert.deepEqual((await LogReader.open(bytes)).columns(), log.columns(), `${sectorSize}`);
  }
});

test("random bytes are not a log, and cause no fault", async () => {
  const rng = random(SEED);
  const log = new LogWriter();
  for (let index = 0; index < 20; index += 1) log.write(index * 512, sector(index));
  log.mark("end");
  const good = new Uint8Array(await (await log.blob()).arrayBuffer());
  for (let round = 0; round < 500; round += 1) {
    const bytes = good.slice(0, rng.below(4) ? good.length : rng.below(good.length));
    for (let flips = rng.below(8); flips >= 0; flips -= 1) {
      const header = rng.below(22) * (rng.below(2) ? 1024 : 512);
      bytes[Math.min(header + rng.below(40), bytes.length - 1)] = rng.below(256);
    }
    try {
      const reader = await LogReader.open(bytes, { partial: true });
      const disk = reader.diskAt(reader.nrEntries, null);
      for (const extent of disk.extents()) await disk.readAt(extent.offset, Math.min(extent.length, 512));
      [...reader.entries()];
      reader.marks();
    } catch (error) {
      assert.ok(error instanceof LogError, `round ${round}: ${error.stack}`);
    }
  }
});

function changed(bytes, at, value, length = 1) {
  const copy = bytes.slice();
  copy.fill(value, at, at + length);
  return copy;
}
