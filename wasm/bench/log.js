/** Reading a long log: a million entries of 512 bytes, as a Blob. */

import { LogReader, LogWriter } from "logwrites";

const NR_ENTRIES = 1_000_000;
const NR_ROUNDS = 3;

/** @returns {AsyncGenerator<import("./rounds.js").Row>} */
export async function* logRows() {
  const log = new LogWriter();
  const bytes = new Uint8Array(512).fill(1);
  for (let index = 0; index < NR_ENTRIES; index += 1) log.write(((index * 7919) % (1 << 21)) * 512, bytes);
  const blob = await log.blob();
  /** @type {Record<string, number[]>} */
  const times = {};
  for (let round = 0; round < NR_ROUNDS; round += 1) {
    for await (const [what, ms] of readAll(blob)) (times[what] ??= []).push(ms);
  }
  for (const [what, ours] of Object.entries(times)) yield { what: `a log of 1,000,000 entries: ${what}`, ours, unit: "ms" };
}

/**
 * @param {Blob} blob
 * @returns {AsyncGenerator<[what: string, ms: number]>}
 */
async function* readAll(blob) {
  let start = performance.now();
  const lap = (/** @type {string} */ what) => {
    const now = performance.now();
    const ms = now - start;
    start = now;
    return /** @type {[string, number]} */ ([what, ms]);
  };
  const reader = await LogReader.open(blob);
  yield lap("open");
  reader.columns();
  yield lap("the columns of all");
  reader.diskAt(NR_ENTRIES).free();
  yield lap("the disk at the end");
  for (let point = 5000; point < NR_ENTRIES; point += 10_000) reader.diskAt(point).free();
  yield lap("the disk at 100 other points");
}
