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
  /** The window behind, which is read while one is walked over. @type {Promise<Window> | null} */
  let ahead = null;
  while (!scan.isDone && !damage) {
    const { offset, bytes } = await nextWindow(source, scan, windowBytes, ahead);
    /** @type {number} */
    const end = offset + bytes.length;
    ahead = windowBytes === MAX_WINDOW_BYTES && end < byteLength ? readWindow(source, end, windowBytes) : null;
    const before = history.nrEntries;
    try {
      scan.push(bytes, offset);
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== "MALFORMED") throw error;
      damage = error;
    }
    signal?.throwIfAborted();
    onprogress?.({ nrEntries: history.nrEntries, offset: scan.next, byteLength });
    // Where payloads are long, most of a long window is read for nothing.
    const isDense = (history.nrEntries - before) * REQUEST_BYTES >= bytes.length;
    windowBytes = isDense ? Math.min(windowBytes * 2, MAX_WINDOW_BYTES) : Math.max(windowBytes / 4, MIN_WINDOW_BYTES);
  }
  return { history, damage };
}

/** Bytes of the log, from `offset` on. @typedef {{ offset: number, bytes: Uint8Array }} Window */

/**
 * The window that a walk asks for: what was read ahead, if that has it.
 *
 * @param {Source} source
 * @param {Scan} scan
 * @param {number} windowBytes
 * @param {Promise<Window> | null} ahead
 * @returns {Promise<Window>}
 */
async function nextWindow(source, { next, needs }, windowBytes, ahead) {
  const known = ahead && partOf(await ahead, next, needs);
  return known ?? readWindow(source, next, Math.max(windowBytes, needs));
}

/**
 * @param {Source} source
 * @param {number} offset
 * @param {number} length at most
 * @returns {Promise<Window>}
 */
function readWindow(source, offset, length) {
  const rest = Math.min(length, source.byteLength - offset);
  const read = async () => ({ offset, bytes: rest > 0 ? await source.read(offset, rest) : NOTHING });
  const window = read();
  // One that was read ahead may be needed no more.
  window.catch(() => {});
  return window;
}

/**
 * The part of a window from `offset` on, or `null` if that is not at least `needs` bytes.
 *
 * @param {Window} window
 * @param {number} offset
 * @param {number} needs
 * @returns {Window | null}
 */
function partOf(window, offset, needs) {
  const skipped = offset - window.offset;
  return skipped >= 0 && window.bytes.length - skipped >= Math.max(needs, 1) ? { offset, bytes: window.bytes.subarray(skipped) } : null;
}

const HEAD_BYTES = 32;
const FIRST_WINDOW_BYTES = 256 << 10;
const MIN_WINDOW_BYTES = 4 << 10;
const MAX_WINDOW_BYTES = 16 << 20;
/** A request costs as much as so many bytes more in another one. */
const REQUEST_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);
