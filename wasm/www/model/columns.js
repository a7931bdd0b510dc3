/** The entries of a log as typed arrays that grow with it, for lists and pictures of a million of them. */

import { LogReader } from "../logwrites.js";

/** @typedef {import("../logwrites.js").History} History */

export class Columns {
  /** How many entries are in. */
  length = 0;
  sector = new Float64Array(0);
  nrSectors = new Float64Array(0);
  kind = new Uint8Array(0);
  flags = new Uint8Array(0);
  /** How many entries of each kind there are. */
  counts = new Float64Array(KINDS.length);
  /** The first sector that no entry reaches. */
  endSector = 0;
  /** How many sectors of payload there are. */
  writtenSectors = 0;

  /**
   * Takes in what a log has more, or has no more.
   *
   * @param {History} log
   * @param {number} [limit] how many entries to take at most
   * @returns {boolean} whether there was anything
   */
  follow(log, limit = Infinity) {
    const { nrEntries } = log;
    if (nrEntries < this.length) this.#reset();
    const from = this.length;
    const to = Math.min(nrEntries, from + limit);
    if (from === to) return false;
    const more = log.columns(from, to);
    this.#reserve(to);
    this.sector.set(more.sector, from);
    this.nrSectors.set(more.nrSectors, from);
    this.kind.set(more.kind, from);
    this.flags.set(more.flags, from);
    this.length = to;
    this.#count(from, to);
    return true;
  }

  /**
   * Whether an entry touches some sectors of the disk.
   *
   * @param {number} entry
   * @param {number} from
   * @param {number} to the first sector that is not meant
   */
  touches(entry, from, to) {
    const sector = this.sector[entry];
    return sector < to && from < sector + this.nrSectors[entry] && CHANGES[this.kind[entry]];
  }

  /**
   * The number of the last entry before `point` that touches a sector, or -1.
   *
   * @param {number} wanted the sector
   * @param {number} point
   */
  lastTouching(wanted, point) {
    // Each frame while a person scrubs, over up to all entries: so nothing is looked up twice.
    const { sector, nrSectors, kind } = this;
    for (let entry = point - 1; entry >= 0; entry -= 1) {
      const ahead = wanted - sector[entry];
      if (ahead >= 0 && ahead < nrSectors[entry] && CHANGES[kind[entry]]) return entry;
    }
    return -1;
  }

  /**
   * The number of the last entry before a point that changes the disk, or -1.
   *
   * @param {number} point
   */
  lastChange(point) {
    let entry = point - 1;
    while (entry >= 0 && !this.changesDisk(entry)) entry -= 1;
    return entry;
  }

  /** @param {number} entry */
  changesDisk(entry) {
    return CHANGES[this.kind[entry]] && this.nrSectors[entry] > 0;
  }

  /** @param {number} entry */
  isFlush(entry) {
    return (this.flags[entry] & FLUSH) !== 0;
  }

  #reset() {
    this.length = 0;
    this.counts.fill(0);
    this.endSector = 0;
    this.writtenSectors = 0;
  }

  /** @param {number} length */
  #reserve(length) {
    if (length <= this.kind.length) return;
    const room = Math.max(length, this.kind.length * 2, 1024);
    this.sector = grown(this.sector, new Float64Array(room));
    this.nrSectors = grown(this.nrSectors, new Float64Array(room));
    this.kind = grown(this.kind, new Uint8Array(room));
    this.flags = grown(this.flags, new Uint8Array(room));
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #count(from, to) {
    for (let entry = from; entry < to; entry += 1) {
      const kind = this.kind[entry];
      this.counts[kind] += 1;
      if (!CHANGES[kind]) continue;
      this.endSector = Math.max(this.endSector, this.sector[entry] + this.nrSectors[entry]);
      if (kind !== DISCARD) this.writtenSectors += this.nrSectors[entry];
    }
  }
}

/**
 * @template {Float64Array | Uint8Array} T
 * @param {T} old
 * @param {T} room
 * @returns {T}
 */
function grown(old, room) {
  room.set(old);
  return room;
}

/** The names of the kinds, by their numbers in the columns. */
export const KINDS = /** @type {(keyof typeof LogReader.KINDS)[]} */ (Object.keys(LogReader.KINDS));
export const { write: WRITE, fua: FUA, flush: FLUSH_KIND, discard: DISCARD, mark: MARK } = LogReader.KINDS;
/** Whether the disk is another one after an entry of that kind. */
const CHANGES = KINDS.map((kind) => kind === "write" || kind === "fua" || kind === "discard");
/** The flag of a flush, which a write may have, too. */
const { flush: FLUSH } = LogReader.FLAGS;
