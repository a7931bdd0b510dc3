/** The command line tool and the package: the same log from the same script, and each reads what the other writes. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { LoggedDisk, LogReader, LogWriter } from "logwrites";
import { fileSink, fileSource } from "logwrites/node";
import { collect, folder, logwrites, random, SEED } from "./support.js";

const KINDS = ["write", "write", "write", "zero", "fua", "discard", "flush", "mark"];

/** A script in the tool's language, and the same as calls. */
function script(rng, sectorSize, nrSectors, nrOps) {
  const lines = [];
  const calls = [];
  for (let op = 0; op < nrOps; op += 1) {
    const offset = rng.below(nrSectors) * sectorSize;
    const length = Math.min(1 + rng.below(8), nrSectors - offset / sectorSize) * sectorSize;
    const pattern = rng.below(256);
    const bytes = new Uint8Array(length).fill(pattern);
    switch (rng.pick(KINDS)) {
      case "write":
        lines.push(`write -P ${pattern} ${offset} ${length}`);
        calls.push((disk) => disk.write(offset, bytes));
        break;
      case "zero":
        lines.push(`write -z ${offset} ${length}`);
        calls.push((disk) => disk.writeZeroes(offset, length));
        break;
      case "fua":
        lines.push(`write -f -P ${pattern} ${offset} ${length}`);
        calls.push((disk) => disk.write(offset, bytes, { fua: true }));
        break;
      case "discard":
        lines.push(`discard ${offset} ${length}`);
        calls.push((disk) => disk.discard(offset, length));
        break;
      case "flush":
        lines.push("flush");
        calls.push((disk) => disk.flush());
        break;
      default:
        lines.push(`mark step ${op}`);
        calls.push((disk) => disk.mark(`step ${op}`));
    }
  }
  lines.push("flush");
  calls.push((disk) => disk.flush());
  return { text: `${lines.join("\n")}\n`, calls };
}

for (const [sectorSize, nrOps] of [[512, 400], [4096, 300], [512, 9000]]) {
  test(`the same log, byte for byte: ${nrOps} commands in sectors of ${sectorSize}`, async (t) => {
    const path = folder(t);
    const rng = random(SEED + nrOps);
    const base = rng.bytes(256 * sectorSize);
    const { text, calls } = script(rng, sectorSize, 256, nrOps);
    writeFileSync(path("base"), base);
    writeFileSync(path("script"), text);
    logwrites("record", "--base", path("base"), "--log", path("theirs"), "--script", path("script"), "--sector-size", `${sectorSize}`);

    const disk = new LoggedDisk({ base: fileSource(path("base")), log: new LogWriter({ sectorSize, sink: fileSink(path("ours")) }) });
    const pending = calls.map((call) => call(disk));
    await Promise.all(pending);
    const image = await collect(disk.image());
    await disk.log.close();
    const [ours, theirs] = [readFileSync(path("ours")), readFileSync(path("theirs"))];
    assert.equal(Buffer.compare(ours, theirs), 0, `the logs differ (LOGWRITES_SEED=${SEED})`);

    // Each reads the other's.
    writeFileSync(path("image"), image);
    assert.match(logwrites("verify", path("ours"), "--base", path("base"), "--final", path("image")), /^ok /);
    const reader = await LogReader.open(theirs);
    assert.deepEqual(await collect(reader.diskAt(reader.nrEntries, base).image()), image);
    for (const point of [0, 1, Math.floor(reader.nrEntries / 3), reader.nrEntries - 1]) {
      logwrites("replay", path("theirs"), "--base", path("base"), "--output", path(`at ${point}`), "--at", `${point}`);
      assert.deepEqual(await collect(reader.diskAt(point, base).image()), new Uint8Array(readFileSync(path(`at ${point}`))), `point ${point}`);
      // The state that has lost every other write, by the name that both know.
      const state = reader.stateAt(point, reader.volatile(point).filter((_, nth) => nth % 2 === 0));
      logwrites("replay", path("theirs"), "--base", path("base"), "--output", path(`in ${state}`), "--at", state);
      assert.deepEqual(await collect(reader.diskAt(state, base).image()), new Uint8Array(readFileSync(path(`in ${state}`))), state);
    }
  });
}

test("a log whose sink has failed is one that the tool verifies", async (t) => {
  const path = folder(t);
  const file = fileSink(path("log"));
  const write = file.write;
  file.batchBytes = 4096;
  file.write = (offset, bytes) => {
    if (offset > 20_000) throw Object.assign(new Error("full"), { code: "ENOSPC" });
    write(offset, bytes);
  };
  const log = new LogWriter({ sink: file });
  assert.throws(() => { for (;;) log.write(0, new Uint8Array(1024).fill(5)); }, { code: "SINK_FULL" });
  await log._salvaged;
  assert.equal(logwrites("verify", path("log")), `ok ${path("log")}: ${log.nrEntries} entries\n`);
  assert.ok(log.nrEntries > 10);
});
