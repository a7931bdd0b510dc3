/** Epochs: what stands between two flushes. */

import { FUA } from "./columns.js";

/** @typedef {import("./columns.js").Columns} Columns */

/**
 * The number of the first entry of the unflushed epoch that ends at a point. A write that is a flush, too, covers what is
 * before it, and belongs to the epoch that it begins.
 *
 * @param {Columns} columns
 * @param {number} point
 * @returns {number}
 */
export function epochStart(columns, point) {
  const flush = previousFlush(columns, point);
  if (flush < 0) return 0;
  return columns.changesDisk(flush) ? flush : flush + 1;
}

/**
 * Whether a crash at a point may lose an entry: it changes the disk, and no flush or FUA has made that durable.
 *
 * @param {Columns} columns
 * @param {number} start of the unflushed epoch
 * @param {number} point
 * @param {number} entry
 */
export function isLosable(columns, start, point, entry) {
  return entry >= start && entry < point && columns.changesDisk(entry) && columns.kind[entry] !== FUA;
}

/**
 * How many entries a crash at a point may lose, and the numbers of the last of them, the very last one first.
 *
 * @param {Columns} columns
 * @param {number} point
 * @param {number} [limit] how many numbers to give at most
 */
export function losableEntries(columns, point, limit = Infinity) {
  const start = epochStart(columns, point);
  const entries = [];
  let nr = 0;
  for (let entry = point - 1; entry >= start; entry -= 1) {
    if (!isLosable(columns, start, point, entry)) continue;
    if (nr < limit) entries.push(entry);
    nr += 1;
  }
  return { nr, entries };
}

/**
 * The number of the last entry in front of a point that changes the disk, or -1.
 *
 * @param {Columns} columns
 * @param {number} point
 */
export function lastChange(columns, point) {
  let entry = point - 1;
  while (entry >= 0 && !columns.changesDisk(entry)) entry -= 1;
  return entry;
}

/**
 * The number of the last flush in front of a point, or -1.
 *
 * @param {Columns} columns
 * @param {number} point
 */
export function previousFlush(columns, point) {
  let entry = point - 1;
  while (entry >= 0 && !columns.isFlush(entry)) entry -= 1;
  return entry;
}

/**
 * The number of the first flush from an entry on, or -1.
 *
 * @param {Columns} columns
 * @param {number} entry
 */
export function nextFlush(columns, entry) {
  for (; entry < columns.length; entry += 1) if (columns.isFlush(entry)) return entry;
  return -1;
}

/**
 * The number of the last mark in front of a point, or -1.
 *
 * @param {{ marks: { entry: number }[] }} session
 * @param {number} point
 */
export function previousMark({ marks }, point) {
  let [low, high] = [0, marks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (marks[middle].entry < point) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? -1 : marks[low - 1].entry;
}
