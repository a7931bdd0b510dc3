/** What a log says: its entries, its marks, and the disk at any point. Of a log that is read, and of one that grows. */

import { Disk } from "./disk.js";
import { LogError } from "./error.js";
import { toSource } from "./source.js";

/** @typedef {import("../pkg/logwrites_wasm.js").History} RawHistory */
/** @typedef {import("./source.js").SourceLike} SourceLike */
/** @typedef {import("./pieces.js").Readable} Readable */
/** @typedef {"write" | "fua" | "flush" | "discard" | "mark"} Kind */

/**
 * An entry of a log.
 *
 * @typedef {object} Entry
 * @property {number} index its number, from 0
 * @property {number} point where it is in: `index + 1`
 * @property {Kind} kind
 * @property {number} offset where its header is in the log, in bytes
 * @property {bigint} sector where it belongs on the disk, in sectors of the log
 * @property {bigint} nrSectors how long it is, in sectors of the log
 * @property {bigint} flags as they are in the log: `LogReader.FLAGS`, and what has no name
 * @property {number} payloadLength how much payload it has, in bytes
 */

/**
 * A mark of a log.
 *
 * @typedef {object} Mark
 * @property {number} entry the number of its entry
 * @property {number} point where it is in: `entry + 1`
 * @property {string} name
 * @property {Uint8Array} bytes the name as it is in the log, which is UTF-8 by custom only
 */

/**
 * The entries as columns, an element an entry. Numbers beyond 2^53 are rounded: `entry(i)` has them exact.
 *
 * @typedef {object} Columns
 * @property {Float64Array} sector
 * @property {Float64Array} nrSectors
 * @property {Float64Array} offset of the header in the log, in bytes
 * @property {Uint8Array} kind as `LogReader.KINDS` has it
 * @property {Uint8Array} flags `LogReader.FLAGS`; bit 7 for all that have no name
 */

export class History {
  /** The kinds as `columns().kind` has them. */
  static KINDS = Object.freeze({ write: 0, fua: 1, flush: 2, discard: 3, mark: 4 });
  /** The bits of the flags that have a name. */
  static FLAGS = Object.freeze({ flush: 1, fua: 2, discard: 4, mark: 8, metadata: 16 });

  /** @type {RawHistory | null} */
  #raw = null;
  /** @type {Readable | null} */
  #log = null;

  /**
   * @protected
   * @param {RawHistory} raw
   * @param {Readable} log
   */
  _begin(raw, log) {
    this.#raw = raw;
    this.#log = log;
  }

  /** @protected @returns {RawHistory} */
  get _raw() {
    return /** @type {RawHistory} */ (this.#raw);
  }

  /** @protected @returns {Readable} */
  get _log() {
    return /** @type {Readable} */ (this.#log);
  }

  /** The unit of the log, in bytes. */
  get sectorSize() {
    return this._raw.sectorSize;
  }

  /** How many entries there are. */
  get nrEntries() {
    return this._raw.nrEntries;
  }

  /** How long the log is up to the end of its last entry, in bytes. */
  get byteLength() {
    return this._raw.endBytes;
  }

  /** What the log's points are known by, in the `id` of a disk. */
  get id() {
    return "log";
  }

  /**
   * @param {number} index from 0
   * @returns {Entry}
   */
  entry(index) {
    const [entry] = this.entries(index, index + 1);
    if (!entry) throw new LogError("OUT_OF_RANGE", `there is no entry ${index}: there are ${this.nrEntries}`);
    return entry;
  }

  /**
   * The entries from number `from` up to, not including, `to`.
   *
   * @param {number} [from]
   * @param {number} [to]
   * @returns {Generator<Entry>}
   */
  *entries(from = 0, to = this.nrEntries) {
    const sectorSize = this.sectorSize;
    for (let start = from; start < Math.min(to, this.nrEntries); start += BLOCK) {
      const end = Math.min(start + BLOCK, to);
      const numbers = this._raw.entries(start, end);
      const kinds = this._raw.kinds(start, end);
      for (let at = 0; at * 4 < numbers.length; at += 1) {
        const [offset, sector, nrSectors, flags] = numbers.subarray(at * 4, at * 4 + 4);
        const index = start + at;
        const kind = KIND_NAMES[kinds[at * 2]];
        const payloadLength = kind === "discard" ? 0 : Number(nrSectors) * sectorSize;
        yield { index, point: index + 1, kind, offset: Number(offset), sector, nrSectors, flags, payloadLength };
      }
    }
  }

  /**
   * The same as typed arrays, for pictures and long lists.
   *
   * @param {number} [from]
   * @param {number} [to]
   * @returns {Columns}
   */
  columns(from = 0, to = this.nrEntries) {
    const length = Math.max(Math.min(to, this.nrEntries) - from, 0);
    const [sector, nrSectors, offset] = [0, 1, 2].map(() => new Float64Array(length));
    const [kind, flags] = [new Uint8Array(length), new Uint8Array(length)];
    for (let start = 0; start < length; start += BLOCK) {
      const end = Math.min(start + BLOCK, length);
      const places = this._raw.places(from + start, from + end);
      const kinds = this._raw.kinds(from + start, from + end);
      for (let at = start, place = 0; at < end; at += 1, place += 3) {
        sector[at] = places[place];
        nrSectors[at] = places[place + 1];
        offset[at] = places[place + 2];
        kind[at] = kinds[(at - start) * 2];
        flags[at] = kinds[(at - start) * 2 + 1];
      }
    }
    return { sector, nrSectors, offset, kind, flags };
  }

  /** How many marks there are. */
  get nrMarks() {
    return this._raw.nrMarks;
  }

  /**
   * The marks, in the order of the log.
   *
   * @returns {Mark[]}
   */
  marks() {
    const texts = new TextDecoder();
    return Array.from(this._raw.marks(), (entry, nth) => {
      const bytes = this._raw.markText(nth);
      return { entry, point: entry + 1, name: texts.decode(bytes), bytes };
    });
  }

  /**
   * The number of the first flush from entry `from` on, or `null`: a bare one, or a write that is one, too.
   *
   * @param {number} from
   * @returns {number | null}
   */
  nextFlush(from) {
    return orNull(this._raw.nextFlush(from));
  }

  /**
   * The number of the last flush before a point, or `null`: a bare one, or a write that is one, too.
   *
   * @param {number} point
   * @returns {number | null}
   */
  previousFlush(point) {
    return orNull(this._raw.previousFlush(point));
  }

  /**
   * The number of the first mark from entry `from` on, or `null`.
   *
   * @param {number} from
   * @returns {number | null}
   */
  nextMark(from) {
    return orNull(this._raw.next(from, History.FLAGS.mark));
  }

  /**
   * The numbers of the entries that a crash at a point may lose, the last one first: they are before the point and change
   * the disk, and no flush between them and the point nor their own FUA has made that durable.
   *
   * @param {number} point
   * @param {number} [limit] how many numbers to give at most
   * @returns {number[]}
   */
  volatile(point, limit = Infinity) {
    return Array.from(this._raw.volatile(point, Math.min(limit, MAX_LIMIT)));
  }

  /**
   * Those of some entries that a crash at a point may lose.
   *
   * @param {number} point
   * @param {Iterable<number>} entries
   * @returns {number[]}
   */
  volatileAmong(point, entries) {
    return Array.from(this._raw.volatileAmong(point, Float64Array.from(entries)));
  }

  /**
   * How many entries a crash at a point may lose.
   *
   * @param {number} point
   * @returns {number}
   */
  nrVolatile(point) {
    return this._raw.nrVolatile(point);
  }

  /**
   * The payload of an entry, or a part of it.
   *
   * @param {number} index
   * @param {{ offset?: number, length?: number }} [part] in bytes
   * @returns {Promise<Uint8Array>}
   */
  async payload(index, { offset = 0, length } = {}) {
    const entry = this.entry(index);
    const end = Math.min(offset + (length ?? entry.payloadLength), entry.payloadLength);
    if (offset >= end) return new Uint8Array(0);
    return this._log.read(entry.offset + this.sectorSize + offset, end - offset);
  }

  /**
   * The name of a state that a crash at a point can leave, in which these entries are lost, such as `"117^103,105-109"`; the
   * tool knows it by the same name. `BAD_STATE` says what cannot be lost, and why.
   *
   * @param {number} point
   * @param {Iterable<number>} [lost]
   * @returns {string}
   */
  stateAt(point, lost = []) {
    return this._raw.stateAt(point, Float64Array.from(lost));
  }

  /**
   * What the name of a state says: `BAD_STATE` if a crash cannot leave it, `UNSUPPORTED` if an entry has lost only a part, as
   * in `"117^112:0-3"`.
   *
   * @param {string} state
   * @returns {{ point: number, lost: number[] }}
   */
  stateOf(state) {
    const [point, ...lost] = this._raw.stateOf(state);
    return { point, lost };
  }

  /**
   * The disk at a point, the base with the first `point` entries applied; or in a state that a crash can leave, by its name.
   *
   * @param {number | string} at a point, or a state such as `"117^103,112:0-3"`
   * @param {SourceLike | null} [base] zeros, if there is none
   * @param {{ byteLength?: number, without?: Iterable<number> }} [options] the size of the disk, if it is not that of
   *   the base; and, at a point, the numbers of entries to leave out, whether or not a crash can lose them
   * @returns {Disk}
   */
  diskAt(at, base = null, { byteLength, without = [] } = {}) {
    const source = base === null ? null : toSource(base);
    const left = Float64Array.from(without);
    if (typeof at === "string" && left.length) throw new LogError("BAD_ARGUMENT", `the state ${at} says itself what is lost`);
    const map = typeof at === "string" ? this._raw.mapOf(at) : this._raw.mapAt(at, left);
    const id = `${source?.id ?? "zeros"}/${this.id}@${at}${left.length ? `-${[...left].sort((a, b) => a - b)}` : ""}`;
    return new Disk(map, source, this._log, byteLength ?? source?.byteLength ?? map.endBytes, id);
  }

  /**
   * The number of the entry that made a byte of the disk what it is at a point, or `null` where it is the base's.
   *
   * @param {number} point
   * @param {number} offset of the byte on the disk
   * @returns {number | null}
   */
  writerOf(point, offset) {
    const map = this._raw.mapAt(point, NONE);
    try {
      return orNull(this._raw.writerOf(map, offset));
    } finally {
      map.free();
    }
  }

  /**
   * What the entries between two points have written, in the order of the disk, and which entry it was: the last
   * one that touched each extent.
   *
   * @param {number} from a point
   * @param {number} to a later one
   * @returns {{ offset: number, length: number, zeros: boolean, entry: number }[]}
   */
  changes(from, to) {
    const map = this._raw.mapBetween(from, to);
    const disk = new Disk(map, null, this._log, map.endBytes, "");
    try {
      return Array.from(disk.extents(), (extent) => ({ ...extent, entry: this._raw.writerOf(map, extent.offset) }));
    } finally {
      disk.free();
    }
  }
}

/** @param {number} found */
function orNull(found) {
  return found < 0 ? null : found;
}

const KIND_NAMES = /** @type {Kind[]} */ (Object.keys(History.KINDS));
/** Entries that are taken out of wasm at once. */
const BLOCK = 4096;
const NONE = new Float64Array(0);
/** The largest count that wasm takes. */
const MAX_LIMIT = 2 ** 32 - 1;
