/** A log that the page has open, and what belongs to it. */

import { Columns } from "./columns.js";

/** @typedef {import("../logwrites.js").History} History */
/** @typedef {import("../logwrites.js").Disk} Disk */
/** @typedef {import("../logwrites.js").Mark} Mark */
/** @typedef {import("../logwrites.js").SourceLike} SourceLike */

/**
 * @typedef {object} SessionParts
 * @property {string} name for people
 * @property {History} log
 * @property {SourceLike | null} [base] zeros, if there is none
 * @property {string} [baseName]
 * @property {number} [byteLength] of the disk, if it is known
 * @property {() => Promise<Blob>} blob the log as it is now
 * @property {boolean} [isLive] whether the log may grow
 * @property {string} [damage] what is wrong after the last entry
 */

export class Session {
  columns = new Columns();
  /** @type {Mark[]} */
  marks = [];
  /** The names of the marks, by their entries. @type {Map<number, string>} */
  markNames = new Map();
  /** Where the person looks. */
  point = 0;
  /** Entries that the disk has lost. @type {Set<number>} */
  lost = new Set();
  /** The sector that is shown. */
  sector = 0;
  #byteLength;

  /** @param {SessionParts} parts */
  constructor({ name, log, base = null, baseName = "", byteLength, blob, isLive = false, damage }) {
    this.name = name;
    this.log = log;
    this.base = base;
    this.baseName = baseName;
    this.blob = blob;
    this.isLive = isLive;
    this.damage = damage;
    this.#byteLength = byteLength;
  }

  /** The size of the disk, in bytes: what is known, or else as far as base and entries reach. */
  get byteLength() {
    if (this.#byteLength !== undefined) return this.#byteLength;
    return Math.max(baseBytes(this.base), this.columns.endSector * this.log.sectorSize);
  }

  get nrSectors() {
    return Math.ceil(this.byteLength / this.log.sectorSize);
  }

  /** The point of the last flush before where the person looks, or the start. */
  get flushBefore() {
    const flush = this.log.previousFlush(Math.max(this.point - 1, 0));
    return flush === null ? 0 : flush + 1;
  }

  /** The point of the next flush, or the end. */
  get flushAfter() {
    const flush = this.log.nextFlush(this.point);
    return flush === null ? this.columns.length : flush + 1;
  }

  /** The point of the last mark before where the person looks, or the start. */
  get markBefore() {
    let [low, high] = [0, this.marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.marks[middle].entry < this.point - 1) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : this.marks[low - 1].point;
  }

  /** The name of the state that the disk is in. */
  get state() {
    return this.log.stateAt(this.point, this.lost);
  }

  /**
   * The disk at a point, or in a state by its name.
   *
   * @param {number | string} [at]
   * @returns {Disk}
   */
  disk(at = this.state) {
    return this.log.diskAt(at, this.base, { byteLength: this.byteLength });
  }

  /**
   * Takes in what the log has more.
   *
   * @param {number} [limit] how many entries to take at most
   * @returns {boolean} whether there was anything
   */
  follow(limit) {
    const wasAtEnd = this.point === this.columns.length;
    if (!this.columns.follow(this.log, limit)) return false;
    if (this.log.nrMarks !== this.marks.length) {
      this.marks = this.log.marks();
      this.markNames = new Map(this.marks.map(({ entry, name }) => [entry, name]));
    }
    if (this.isLive && wasAtEnd) this.point = this.columns.length;
    this.point = Math.min(this.point, this.columns.length);
    return true;
  }
}

/** @param {SourceLike | null} base */
function baseBytes(base) {
  if (base === null) return 0;
  return base instanceof Blob ? base.size : base.byteLength;
}
