/** A logged disk beside a plain array, with every kind of base and sink, in seeded sessions. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { LoggedDisk, LogReader, LogWriter } from "logwrites";
import { BASES, collect, random, SEED, SINKS } from "./support.js";

const SECTOR = 512;
const NR_SECTORS = 64;
const OPS = 120;

for (const [baseName, makeBase] of Object.entries(BASES)) {
  for (const [sinkName, makeSink] of Object.entries(SINKS)) {
    test(`base: ${baseName}, sink: ${sinkName}`, async (t) => {
      const seed = SEED + hash(`${baseName}/${sinkName}`);
      const rng = random(seed);
      const bytes = rng.bytes(SECTOR * NR_SECTORS);
      const disk = new LoggedDisk({ base: await makeBase(bytes, t), log: new LogWriter({ sink: await makeSink(t), superblockInterval: 7 }) });
      const model = new Model(bytes);
      try {
        for (let op = 0; op < OPS; op += 1) await step(rng, disk, model);
        await finish(disk, model);
      } catch (error) {
        error.message += ` (LOGWRITES_SEED=${SEED})`;
        throw error;
      }
      assert.deepEqual(bytes, model.base, "the base was never written");
    });
  }
}

/** A disk as an array, and the entries that its log should have. */
class Model {
  entries = [];
  snapshots = [];
  isDirty = false;

  constructor(base) {
    this.base = base.slice();
    this.bytes = base.slice();
    this.snapshots.push(this.bytes.slice());
  }

  log(kind, offset = 0, length = 0) {
    this.entries.push({ kind, sector: BigInt(offset / SECTOR), nrSectors: BigInt(length / SECTOR) });
    this.snapshots.push(this.bytes.slice());
    this.isDirty = kind !== "flush";
  }
}

async function step(rng, disk, model) {
  const offset = rng.below(NR_SECTORS) * SECTOR;
  const length = Math.min((1 + rng.below(9)) * SECTOR, model.bytes.length - offset);
  switch (rng.below(11)) {
    case 0: case 1: case 2: {
      const payload = rng.bytes(length);
      const fua = rng.below(8) === 0;
      const done = disk.write(offset, payload, { fua });
      model.bytes.set(payload, offset);
      payload.fill(0xdd); // v86 uses its buffer again at once
      model.log(fua ? "fua" : "write", offset, length);
      if (fua) await done;
      break;
    }
    case 3:
      disk.writeZeroes(offset, length);
      model.bytes.fill(0, offset, offset + length);
      model.log("write", offset, length);
      break;
    case 4:
      disk.discard(offset, length);
      model.bytes.fill(0, offset, offset + length);
      model.log("discard", offset, length);
      break;
    case 5: {
      const done = disk.flush();
      if (model.isDirty) model.log("flush");
      if (rng.below(2)) await done;
      break;
    }
    case 6:
      disk.mark(`mark ${model.entries.length}`);
      model.log("mark");
      break;
    case 7:
      await disk.sync();
      break;
    case 8: {
      const point = rng.below(model.snapshots.length);
      const at = rng.below(model.bytes.length);
      const nrBytes = rng.below(model.bytes.length - at);
      same(await disk.diskAt(point).readAt(at, nrBytes), model.snapshots[point].subarray(at, at + nrBytes), `point ${point}`);
      break;
    }
    default:
      same(await disk.readAt(offset, length), model.bytes.subarray(offset, offset + length), "the live disk");
  }
}

async function finish(disk, model) {
  same(await collect(disk.image({ chunkBytes: 3 * SECTOR })), model.bytes, "the live image");
  const reader = await LogReader.open(await disk.log.blob());
  for (const log of [reader, disk.log]) {
    assert.deepEqual([...log.entries()].map(({ kind, sector, nrSectors }) => ({ kind, sector, nrSectors })), model.entries);
  }
  for (const [point, snapshot] of model.snapshots.entries()) {
    same(await collect(reader.diskAt(point, model.base).image()), snapshot, `replay to point ${point}`);
  }
  const columns = reader.columns(3, 50);
  assert.deepEqual([...columns.kind], model.entries.slice(3, 50).map(({ kind }) => LogReader.KINDS[kind]));
  assert.deepEqual([...columns.sector], model.entries.slice(3, 50).map(({ sector }) => Number(sector)));
  await disk.log.close();
  assert.throws(() => disk.write(0, new Uint8Array(SECTOR)), { code: "CLOSED" });
}

function same(found, expected, what) {
  assert.equal(Buffer.compare(found, expected), 0, what);
}

function hash(text) {
  return [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
}
