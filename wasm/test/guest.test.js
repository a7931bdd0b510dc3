/** The bundled guest: with flushes its bank survives every crash that a disk allows, without them it does not. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { LogReader } from "logwrites";
import { accountSector, bankImage, JOURNAL, NR_ACCOUNTS, recovered, TOTAL, verdict } from "./bank.js";
import { boot as bootUntil } from "./machine.js";
import { collect, folder, logwrites } from "./support.js";

const NR_TRANSFERS = 12;
const NR_BOOTED = 12;

/** What the bank says last. */
const boot = (disk) => bootUntil(disk, { until: /That was all\.|stays closed\.|gives an error\./ });

/** Runs the bank from its first boot, and gives its log. */
async function run(flushes) {
  const image = bankImage({ flushes, nrTransfers: NR_TRANSFERS });
  const { printed, disk } = await boot(image);
  assert.match(printed, /journal: empty\r\n/);
  assert.ok(printed.includes(verdict(TOTAL)), printed);
  return { image, printed, disk, reader: await LogReader.open(await disk.log.blob()) };
}

/**
 * Crashes: everything before a point is on the disk, but for the entries `lost` that were in its cache.
 *
 * @param {(unflushed: number[]) => Iterable<number[]>} lostOf what may be lost
 * @param {(flush: number) => boolean} isFlush whether this entry, a flush, is to count as one
 */
function* crashes(reader, lostOf, isFlush = () => true) {
  let flushed = 0;
  for (let point = 0; point <= reader.nrEntries; point += 1) {
    if (point > 0 && reader.entry(point - 1).kind === "flush" && isFlush(point - 1)) flushed = point;
    const unflushed = [];
    for (let entry = flushed; entry < point; entry += 1) if (reader.entry(entry).kind === "write") unflushed.push(entry);
    for (const lost of lostOf(unflushed)) yield { point, lost };
  }
}

/** Nothing lost, or one entry. */
function* atMostOne(entries) {
  yield [];
  for (const entry of entries) yield [entry];
}

/** Every set of them. */
function* anySet(entries) {
  assert.ok(entries.length <= 8, `${entries.length} unflushed writes: more sets than can be tried`);
  for (let bits = 0; bits < 1 << entries.length; bits += 1) yield entries.filter((_, i) => bits & (1 << i));
}

const diskOf = ({ disk }, { point, lost }) => disk.diskAt(point, { without: lost });

/** So many of a list, evenly spread, with the first and the last. */
const sample = (list, count) => Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / (count - 1))]);

test("with flushes: the log has what the program does, in order", async (t) => {
  const { reader } = await run(true);
  const kinds = [...reader.entries()].map(({ kind }) => kind);
  const transfer = ["write", "flush", "write", "write", "flush", "write", "mark"];
  assert.deepEqual(kinds, ["mark", ...Array.from({ length: NR_TRANSFERS }, () => transfer).flat()]);
  assert.deepEqual(
    reader.marks().map(({ name }) => name),
    ["the bank opens", ...Array.from({ length: NR_TRANSFERS }, (_, i) => `transfer ${i + 1}`)],
  );
  const accounts = new Set(Array.from({ length: NR_ACCOUNTS }, (_, i) => accountSector(i)));
  for (let from = 1; from < kinds.length; from += transfer.length) {
    const [journal, , payer, payee, , cleared] = Array.from({ length: 6 }, (_, i) => Number(reader.entry(from + i).sector));
    assert.deepEqual([journal, cleared], [JOURNAL, JOURNAL]);
    assert.ok(accounts.has(payer) && accounts.has(payee) && payer !== payee);
  }
});

test("with flushes: it adds up after every crash, whatever the disk's cache loses", async (t) => {
  const bank = await run(true);
  const states = [...crashes(bank.reader, anySet)];
  const redone = [];
  for (const state of states) {
    const { redone: transfer, total } = await recovered(diskOf(bank, state));
    assert.equal(total, TOTAL, JSON.stringify(state));
    if (transfer !== null) redone.push(state);
  }
  t.diagnostic(`${states.length} states, in ${redone.length} of them the journal is done again`);
  assert.ok(redone.length > NR_TRANSFERS * 4);

  // And so it does when it really boots.
  for (const state of [...sample(states, NR_BOOTED / 2), ...sample(redone, NR_BOOTED / 2)]) {
    const expected = await recovered(diskOf(bank, state));
    const { printed } = await boot(diskOf(bank, state));
    assert.ok(printed.includes(verdict(TOTAL)), `${JSON.stringify(state)}: ${printed}`);
    const journal = expected.redone === null ? "journal: empty" : `journal: transfer ${expected.redone} is done again`;
    assert.ok(printed.includes(`${journal}\r\n`), `${JSON.stringify(state)}: ${printed}`);
  }
});

test("with flushes: it adds up after a crash of the boot that repairs it", async (t) => {
  const bank = await run(true);
  const half = await recoverable(bank);
  const second = await boot(half);
  const reader = await LogReader.open(await second.disk.log.blob());
  const states = [...crashes(reader, anySet)].filter(({ point }) => point <= reader.nextMark(0));
  assert.ok(states.length > 8);
  for (const state of states) assert.equal((await recovered(diskOf(second, state))).total, TOTAL, JSON.stringify(state));
});

test("each of the two flushes is needed", async (t) => {
  const bank = await run(true);
  const flushes = [...bank.reader.entries()].filter(({ kind }) => kind === "flush").map(({ index }) => index);
  for (const which of [0, 1]) {
    const isFlush = (entry) => flushes.indexOf(entry) % 2 !== which;
    let nrStates = 0;
    let nrBroken = 0;
    for (const state of crashes(bank.reader, anySet, isFlush)) {
      nrStates += 1;
      if ((await recovered(diskOf(bank, state))).total !== TOTAL) nrBroken += 1;
    }
    t.diagnostic(`without flush ${which + 1}: ${nrBroken} of ${nrStates} states do not add up`);
    assert.ok(nrBroken > 0, `flush ${which + 1} is for nothing`);
  }
});

/** A crash with one account written, the other not. */
async function recoverable(bank) {
  for (const state of crashes(bank.reader, atMostOne)) {
    const { point, lost } = state;
    if (lost.length === 0 && point > 1 && bank.reader.entry(point - 1).kind === "write" && bank.reader.entry(point - 2).kind === "flush") {
      const disk = diskOf(bank, state);
      if ((await recovered(disk)).redone !== null && bank.reader.entry(point - 1).sector !== BigInt(JOURNAL)) return disk;
    }
  }
  return assert.fail("there is no such crash");
}

test("without flushes: a single lost write loses money, or makes some", async (t) => {
  const bank = await run(false);
  assert.ok([...bank.reader.entries()].every(({ kind }) => kind !== "flush"));
  const found = { lost: [], made: [] };
  let nrStates = 0;
  for (const state of crashes(bank.reader, atMostOne)) {
    nrStates += 1;
    const { total } = await recovered(diskOf(bank, state));
    if (total === TOTAL) continue;
    assert.equal(state.lost.length, 1, "without a lost write the journal alone is enough");
    found[total < TOTAL ? "lost" : "made"].push({ ...state, total });
  }
  t.diagnostic(`${nrStates} states, ${found.lost.length} with money lost, ${found.made.length} with money made`);
  for (const which of ["lost", "made"]) {
    assert.ok(found[which].length > 0, `no state with money ${which}`);
    for (const state of sample(found[which], 2)) {
      const { printed } = await boot(diskOf(bank, state));
      assert.ok(printed.includes(verdict(state.total)), `${JSON.stringify(state)}: ${printed}`);
      assert.match(printed, /The bank stays closed\./);
    }
  }
});

for (const flushes of [true, false]) {
  test(`the tool replays the log to the live disk, ${flushes ? "with" : "without"} flushes`, async (t) => {
    const { image, disk } = await run(flushes);
    const path = folder(t);
    writeFileSync(path("base"), image);
    writeFileSync(path("log"), new Uint8Array(await (await disk.log.blob()).arrayBuffer()));
    logwrites("replay", path("log"), "--base", path("base"), "--output", path("image"));
    assert.deepEqual(new Uint8Array(readFileSync(path("image"))), await collect(disk.image()));
    logwrites("verify", path("log"), "--base", path("base"), "--final", path("image"));
  });
}
