/** Reading a range of a disk, whose pieces are in the base, in the log, or zeros. */

import { LogError } from "./error.js";
import { isPromise } from "./device.js";

/** @typedef {{ byteLength: number, read(offset: number, length: number, isUrgent?: boolean): Uint8Array | Promise<Uint8Array> }} Readable */

/**
 * Puts a range together.
 *
 * @param {Float64Array} pieces three numbers each: length, place, offset there
 * @param {number} length of all of them
 * @param {Readable | null} base zeros where there is none, and after its end
 * @param {Readable} log
 * @param {boolean} [isUrgent] whether it should be at once, where that is possible
 * @returns {Uint8Array | Promise<Uint8Array>} at once where base and log are
 */
export function readPieces(pieces, length, base, log, isUrgent = false) {
  if (pieces.length === 3 && pieces[1] === LOG) return log.read(pieces[2], length, isUrgent);
  if (pieces.length === 3 && pieces[1] === BASE && base && pieces[2] + length <= base.byteLength) return base.read(pieces[2], length, isUrgent);
  const bytes = new Uint8Array(length);
  /** @type {Promise<void>[]} */
  const late = [];
  let at = 0;
  for (let index = 0; index < pieces.length; index += 3) {
    const [length, place, offset] = pieces.subarray(index, index + 3);
    const to = at;
    at += length;
    const from = place === LOG ? log : place === BASE ? base : null;
    const there = from === base && base ? Math.min(length, Math.max(base.byteLength - offset, 0)) : length;
    if (!from || there === 0) continue;
    const piece = from.read(offset, there, isUrgent);
    if (isPromise(piece)) late.push(piece.then((piece) => bytes.set(piece, to)));
    else bytes.set(piece, to);
  }
  return late.length === 0 ? bytes : Promise.all(late).then(() => bytes);
}

/**
 * What was read, at once.
 *
 * @param {Uint8Array | Promise<Uint8Array>} bytes
 * @returns {Uint8Array}
 */
export function atOnce(bytes) {
  if (!isPromise(bytes)) return bytes;
  bytes.catch(() => {});
  throw new LogError("NOT_SYNC", "these bytes cannot be read at once: the base or the log's sink gives promises");
}

/**
 * Checks a range of a disk.
 *
 * @param {number} offset
 * @param {number} length
 * @param {number} byteLength of the disk
 */
export function checkRange(offset, length, byteLength) {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new LogError("UNSAFE_NUMBER", `${length} bytes at ${offset}: not whole numbers from 0 to 2^53 - 1`);
  }
  if (offset + length > byteLength) {
    throw new LogError("OUT_OF_RANGE", `${length} bytes at ${offset} reach beyond the disk, which has ${byteLength}`);
  }
}

const BASE = 0;
const LOG = 1;
