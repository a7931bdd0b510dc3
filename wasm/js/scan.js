/** Reading the headers of a log that is somewhere else, a window at a time. */

import { Scan } from "../pkg/logwrites_wasm.js";
import { LogError } from "./error.js";
import { assertReady } from "./init.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("../pkg/logwrites_wasm.js").History} RawHistory */

/**
 * How far a log was read.
 *
 * @typedef {object} Progress
 * @property {number} nrEntries
 * @property {number} offset in the log, in bytes
 * @property {number} byteLength of the log
 */

/**
 * @param {Source} source
 * @param {{ onprogress?: (progress: Progress) => void, signal?: AbortSignal }} options
 * @returns {Promise<{ history: RawHistory, damage: LogError | null }>}
 */
export async function scan(source, { onprogress, signal }) {
  assertReady();
  signal?.throwIfAborted();
  const { byteLength } = source;
  const scan = new Scan(await source.read(0, Math.min(HEAD_BYTES, byteLength)), byteLength);
  const history = scan.history;
  let damage = null;
  let windowBytes = FIRST_WINDOW_BYTES;
  while (!scan.isDone && !damage) {
    const offset = scan.next;
    const length = Math.min(Math.max(windowBytes, scan.needs), byteLength - offset);
    const before = history.nrEntries;
    try {
      scan.push(length > 0 ? await source.read(offset, length) : NOTHING, offset);
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "MALFORMED") throw error;
      damage = error;
    }
    signal?.throwIfAborted();
    onprogress?.({ nrEntries: history.nrEntries, offset: scan.next, byteLength });
    // Where payloads are long, most of a long window is read for nothing.
    const isWorthIt = (history.nrEntries - before) * REQUEST_BYTES >= length;
    windowBytes = isWorthIt ? Math.min(windowBytes * 2, MAX_WINDOW_BYTES) : Math.max(windowBytes / 4, MIN_WINDOW_BYTES);
  }
  return { history, damage };
}

const HEAD_BYTES = 32;
const FIRST_WINDOW_BYTES = 256 << 10;
const MIN_WINDOW_BYTES = 4 << 10;
const MAX_WINDOW_BYTES = 8 << 20;
/** A request costs as much as so many bytes more in another one. */
const REQUEST_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);
