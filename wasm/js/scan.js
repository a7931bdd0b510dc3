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
  const ahead = new ReadAhead(source);
  while (!scan.isDone && !damage) {
    const { offset, bytes } = (await ahead.take(scan)) ?? (await readWindow(source, scan.next, Math.max(windowBytes, scan.needs)));
    if (windowBytes === MAX_WINDOW_BYTES) ahead.fill(offset + bytes.length);
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

/** The windows after the one that is walked over, which are read meanwhile: one that waits in a browser for another process. */
class ReadAhead {
  #source;
  /** In their order. @type {Promise<Window>[]} */
  #windows = [];
  /** The first byte after them. */
  #end = 0;

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
  }

  /**
   * The window that a walk asks for, if it was read ahead. If it was not, what was is forgotten.
   *
   * @param {Scan} scan
   * @returns {Promise<Window | null>}
   */
  async take({ next, needs }) {
    const window = this.#windows.shift();
    const known = window ? partOf(await window, next, needs) : null;
    if (!known) this.#windows = [];
    return known;
  }

  /**
   * Reads what follows on the windows that are there, or else from `offset` on.
   *
   * @param {number} offset
   */
  fill(offset) {
    if (this.#windows.length === 0) this.#end = offset;
    while (this.#windows.length < WINDOWS_AHEAD && this.#end < this.#source.byteLength) {
      this.#windows.push(readWindow(this.#source, this.#end, MAX_WINDOW_BYTES));
      this.#end += MAX_WINDOW_BYTES;
    }
  }
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
const WINDOWS_AHEAD = 2;
/** A request costs as much as this many more bytes in another one. */
const REQUEST_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);
