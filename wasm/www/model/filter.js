/** Which entries the list shows. */

import { KINDS, MARK } from "./columns.js";

/** @typedef {import("./session.js").Session} Session */

/**
 * @typedef {object} Conditions
 * @property {boolean[]} kinds whether entries of each kind are shown
 * @property {string} mark what the name of a mark contains; if not empty, only marks are shown
 * @property {[from: number, to: number] | null} sectors that an entry touches
 */

export class Filter {
  /** @type {Conditions} */
  conditions;
  /** The numbers of the entries shown, the first `#length` of them. */
  #rows = new Uint32Array(0);
  #length = 0;
  /** How many entries were looked at. */
  #seen = 0;

  /** @param {Conditions} [conditions] */
  constructor(conditions = { kinds: KINDS.map(() => true), mark: "", sectors: null }) {
    this.conditions = conditions;
    this.isEverything = conditions.kinds.every(Boolean) && conditions.mark === "" && conditions.sectors === null;
  }

  /**
   * Looks at the entries that came since.
   *
   * @param {Session} session
   */
  follow(session) {
    const { columns } = session;
    if (columns.length < this.#seen) this.#length = this.#seen = 0;
    if (!this.isEverything) {
      for (let entry = this.#seen; entry < columns.length; entry += 1) {
        if (this.#matches(session, entry)) this.#push(entry);
      }
    }
    this.#seen = columns.length;
  }

  /** How many entries are shown. */
  get nrRows() {
    return this.isEverything ? this.#seen : this.#length;
  }

  /**
   * The number of the entry in a row.
   *
   * @param {number} row
   */
  entryOf(row) {
    return this.isEverything ? row : this.#rows[row];
  }

  /**
   * The row of the last entry shown that is not after `entry`, or -1.
   *
   * @param {number} entry
   */
  rowOf(entry) {
    if (this.isEverything) return Math.min(entry, this.#seen - 1);
    let [low, high] = [0, this.#length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#rows[middle] <= entry) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * @param {Session} session
   * @param {number} entry
   */
  #matches({ columns, markNames }, entry) {
    const { kinds, mark, sectors } = this.conditions;
    const kind = columns.kind[entry];
    if (!kinds[kind]) return false;
    if (mark !== "" && !(kind === MARK && markNames.get(entry)?.toLowerCase().includes(mark.toLowerCase()))) return false;
    return sectors === null || columns.touches(entry, sectors[0], sectors[1]);
  }

  /** @param {number} entry */
  #push(entry) {
    if (this.#length === this.#rows.length) {
      const rows = new Uint32Array(Math.max(this.#length * 2, 1024));
      rows.set(this.#rows);
      this.#rows = rows;
    }
    this.#rows[this.#length] = entry;
    this.#length += 1;
  }
}

/**
 * The sectors that a text names: `8`, `8-15`, `8+8`, also with 0x; `null` for an empty one, `undefined` for none of these.
 *
 * @param {string} text
 * @returns {[from: number, to: number] | null | undefined}
 */
export function parseSectors(text) {
  if (text.trim() === "") return null;
  const found = /^\s*(0x[0-9a-f]+|\d+)\s*(?:([-+])\s*(0x[0-9a-f]+|\d+)\s*)?$/i.exec(text);
  if (!found) return undefined;
  const [from, second] = [Number(found[1]), Number(found[3])];
  const to = found[2] === "+" ? from + second : found[2] === "-" ? second + 1 : from + 1;
  return to > from && Number.isSafeInteger(to) ? [from, to] : undefined;
}
