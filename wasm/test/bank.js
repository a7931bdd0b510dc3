/** The bundled guest in the tests: its images, and what its recovery comes to. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const NR_ACCOUNTS = 8;
export const TOTAL = 8000;
export const JOURNAL = 64;

/** The sector of an account. */
export const accountSector = (account) => 128 * (account + 1);

/**
 * The image, set to make `nrTransfers` and to stop then, without waiting between them.
 *
 * @param {{ flushes: boolean, nrTransfers: number }} options
 */
export function bankImage({ flushes, nrTransfers }) {
  const out = mkdtempSync(join(tmpdir(), "logwrites-bank-"));
  try {
    execFileSync(fileURLToPath(new URL("../guest/build", import.meta.url)), [out]);
    const image = new Uint8Array(readFileSync(join(out, `bank-${flushes ? "with" : "without"}-flushes.img`)));
    assert.equal(image[FLUSHES], flushes ? 1 : 0);
    image[NR_TRANSFERS] = nrTransfers;
    image[TICKS] = 0;
    return image;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/**
 * What the bank's boot comes to on this disk, without running it.
 *
 * @returns {Promise<{ redone: number | null, total: number }>} the transfer in the journal, and all the money
 */
export async function recovered(disk) {
  const balances = [];
  for (let account = 0; account < NR_ACCOUNTS; account += 1) {
    balances.push((await sector(disk, accountSector(account))).getUint32(BALANCE, true));
  }
  const journal = await sector(disk, JOURNAL);
  const [magic, number, payer, payee, payerBalance, payeeBalance, sum] = Array.from({ length: 7 }, (_, i) => journal.getUint32(i * 4, true));
  const isRecord = magic === MAGIC && sum === checksum([magic, number, payer, payee, payerBalance, payeeBalance]);
  if (isRecord) {
    balances[payer] = payerBalance;
    balances[payee] = payeeBalance;
  }
  return { redone: isRecord ? number : null, total: balances.reduce((a, b) => a + b) };
}

/** What all the money comes to after a crash at a point that loses one write of the unflushed epoch, for each of them. */
export async function totalsWithout(reader, base, point) {
  const totals = [];
  for (let entry = point - 1; entry >= 0 && reader.entry(entry).kind !== "flush"; entry -= 1) {
    if (reader.entry(entry).kind !== "write") continue;
    totals.push({ entry, total: (await recovered(reader.diskAt(point, base, { without: [entry] }))).total });
  }
  return totals;
}

/** What the guest prints of its balance, given all the money there is. */
export function verdict(total) {
  return `balance ${total} of ${TOTAL}: ${total === TOTAL ? "adds up" : total < TOTAL ? "MONEY LOST" : "MONEY MADE"}`;
}

async function sector(disk, number) {
  const bytes = await disk.readAt(number * 512, 512);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checksum(words) {
  return words.reduce((sum, word) => (((sum << 5) | (sum >>> 27)) + word) >>> 0, 0);
}

/** What may be set in the image: see bank.asm. */
const FLUSHES = 500;
const NR_TRANSFERS = 501;
const TICKS = 502;
/** Where the balance is in an account's sector. */
const BALANCE = 16;
const MAGIC = 0x4c4e524a; // "JRNL"
