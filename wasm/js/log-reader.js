/** Reading a log. */

import { History } from "./history.js";
import { scan } from "./scan.js";
import { toSource } from "./source.js";

/** @typedef {import("./error.js").LogError} LogError */
/** @typedef {import("./source.js").SourceLike} SourceLike */
/** @typedef {import("./scan.js").Progress} Progress */

/** A log that was read: its headers are in memory, its payloads are where they were. */
export class LogReader extends History {
  /** @type {LogError | null} */
  #damage = null;

  /**
   * Reads the headers of a log.
   *
   * @param {SourceLike} source
   * @param {object} [options]
   * @param {(progress: Progress) => void} [options.onprogress] called after each range that was read
   * @param {AbortSignal} [options.signal]
   * @param {boolean} [options.partial] whether a log that is damaged is to be read up to there; `damage` tells
   * @returns {Promise<LogReader>}
   */
  static async open(source, { onprogress, signal, partial = false } = {}) {
    const log = toSource(source);
    const { history, damage } = await scan(log, { onprogress, signal });
    if (damage && !partial) throw damage;
    const reader = new LogReader();
    reader._begin(history, log);
    reader.#damage = damage;
    return reader;
  }

  /** What is wrong after the last entry, if anything. */
  get damage() {
    return this.#damage;
  }

  /** How many entries the superblock counts, which a damaged log may not have. @returns {bigint} */
  get counted() {
    return this._raw.counted;
  }
}
