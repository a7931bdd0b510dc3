/** A disk whose writes live in the log: for v86, and for anything else that reads and writes a disk. */

import { Disk, imageOf } from "./disk.js";
import { isPromise } from "./device.js";
import { LogError } from "./error.js";
import { LogWriter } from "./log-writer.js";
import { atOnce, checkRange, readPieces } from "./pieces.js";
import { toSource } from "./source.js";

/** @typedef {import("./source.js").SourceLike} SourceLike */
/** @typedef {import("./sink.js").Sink} Sink */

/**
 * What a disk is made of.
 *
 * @typedef {object} LoggedDiskOptions
 * @property {LogWriter} log where the writes go; a new one, or one that continues the log of this base
 * @property {SourceLike | null} [base] what the disk was before; never written; zeros, if there is none
 * @property {number} [byteLength] the size of the disk, if it is not that of the base; zeros fill what is after its end
 * @property {"fork" | "rewind"} [restore] what restoring a saved state does to the log: continue in a new one that begins as
 *   this one did, which is the default, or cut it
 * @property {() => Sink} [forkSink] where such a new log goes: into memory, if not said
 * @property {(error: LogError) => void} [onfailure] called once, when a write cannot be logged; none is acknowledged any more
 * @property {(log: LogWriter, old: LogWriter) => void} [onfork] called when restoring has put a new log in the old one's place
 */

export class LoggedDisk {
  /** Called once, when a write cannot be logged. @type {((error: LogError) => void) | undefined} */
  onfailure;
  /** Called when restoring has put a new log in the old one's place. @type {((log: LogWriter, old: LogWriter) => void) | undefined} */
  onfork;
  /** Whether writes are durable when they are acknowledged, as of a disk whose cache was turned off: they are logged as FUA. */
  writeThrough = false;
  /** v86 puts a function here before it calls {@link load}. @type {((event: object) => void) | undefined} */
  onload;
  /** v86 puts a function here, too. @type {((event: object) => void) | undefined} */
  onprogress;

  #base;
  #log;
  /** The logs that restoring has left, by their ids: a state may be of any. @type {Map<string, LogWriter>} */
  #logs = new Map();
  #restore;
  #forkSink;
  /** @type {LogError | null} */
  #failure = null;
  /** What {@link get_and_cache} has read, by its offset. @type {Map<number, Uint8Array>} */
  #cache = new Map();

  /** @param {LoggedDiskOptions} options */
  constructor({ log, base = null, byteLength, restore = "fork", forkSink, onfailure, onfork }) {
    if (!(log instanceof LogWriter)) throw new LogError("BAD_ARGUMENT", "a disk needs a LogWriter as its log");
    this.#log = log;
    this.#base = base === null ? null : toSource(base);
    const baseBytes = this.#base?.byteLength ?? 0;
    /** The size of the disk, in bytes. */
    this.byteLength = byteLength ?? baseBytes;
    if (this.byteLength % log.sectorSize !== 0 || this.byteLength < baseBytes || this.byteLength === 0) {
      throw new LogError("BAD_ARGUMENT", `a disk of ${this.byteLength} bytes: not whole sectors of ${log.sectorSize}, or less than its base`);
    }
    this.#restore = restore;
    this.#forkSink = forkSink;
    this.onfailure = onfailure;
    this.onfork = onfork;
    this.#watch(log);
  }

  /** Where the writes go. Restoring a saved state may put another one here. */
  get log() {
    return this.#log;
  }

  /** What the disk was before the log, which is never written. */
  get base() {
    return this.#base;
  }

  /** Why nothing is acknowledged any more. */
  get failure() {
    return this.#failure;
  }

  /**
   * @param {number} offset in bytes
   * @param {number} length in bytes
   * @returns {Uint8Array | Promise<Uint8Array>} at once where base and log are in memory
   */
  readAt(offset, length) {
    return this.#read(offset, length, false);
  }

  /**
   * The same at once; `NOT_SYNC` where base or log cannot.
   *
   * @param {number} offset in bytes
   * @param {number} length in bytes
   * @returns {Uint8Array}
   */
  readSync(offset, length) {
    return atOnce(this.#read(offset, length, true));
  }

  /**
   * Writes whole sectors of the log; the bytes are copied before it returns.
   *
   * @param {number} offset in bytes
   * @param {Uint8Array} bytes
   * @param {{ fua?: boolean }} [options] with `fua` there is a promise, which resolves when the write is durable
   * @returns {void | Promise<void>}
   */
  write(offset, bytes, { fua = this.writeThrough } = {}) {
    return this.#change(offset, bytes.length, () => this.#log.write(offset, bytes, { fua }));
  }

  /**
   * @param {number} offset in bytes
   * @param {number} length in bytes
   * @param {{ fua?: boolean }} [options] as for {@link write}
   * @returns {void | Promise<void>}
   */
  writeZeroes(offset, length, { fua = this.writeThrough } = {}) {
    return this.#change(offset, length, () => this.#log.writeZeroes(offset, length, { fua }));
  }

  /**
   * @param {number} offset in bytes
   * @param {number} length in bytes
   */
  discard(offset, length) {
    this.#change(offset, length, () => this.#log.discard(offset, length));
  }

  /** Logs a flush. @returns {Promise<void>} resolves when everything before it is durable */
  flush() {
    const done = this.#log.flush();
    done.catch((error) => this.#failIfBusy(error));
    return done;
  }

  /** The same for a guest that gets its answer at once, and never a failure: `onfailure` reports that. @internal */
  _flushAndForget() {
    try {
      this.#log._flushAndForget();
    } catch (error) {
      this.#failIfBusy(error);
    }
  }

  /** Makes durable what is logged, and logs nothing. @returns {Promise<void>} */
  sync() {
    return this.#log.sync();
  }

  /** @param {string} name */
  mark(name) {
    this.#log.mark(name);
  }

  /**
   * The disk as of a point of its log, or in a state that a crash can leave.
   *
   * @param {number | string} at a point, or a state such as `"117^103,112:0-3"`
   * @param {{ without?: Iterable<number> }} [options] at a point, the numbers of entries to leave out, whether or not a crash
   *   can lose them
   * @returns {Disk}
   */
  diskAt(at, { without } = {}) {
    return this.#log.diskAt(at, this.#base, { byteLength: this.byteLength, without });
  }

  /**
   * The whole disk as it is when each chunk is read.
   *
   * @param {{ chunkBytes?: number }} [options]
   * @returns {ReadableStream<Uint8Array>}
   */
  image({ chunkBytes } = {}) {
    return imageOf(this, chunkBytes);
  }

  // What v86 calls.

  /**
   * The disk itself, as v86's types want it.
   *
   * @returns {any}
   */
  forV86() {
    if (this.#log.sectorSize > 512) {
      throw new LogError("UNSUPPORTED", `v86 writes sectors of 512 bytes, and the log has ${this.#log.sectorSize}: make it with sectorSize 512`);
    }
    return this;
  }

  load() {
    this.onload?.({});
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {(bytes: Uint8Array) => void} callback
   * @param {{ signal?: AbortSignal }} [options]
   */
  get(offset, length, callback, { signal } = {}) {
    const bytes = this.#v86(() => this.readAt(offset, length));
    if (!bytes) return;
    if (!isPromise(bytes)) {
      callback(bytes);
      return;
    }
    bytes.then(
      (bytes) => signal?.aborted || callback(bytes),
      (error) => this.#fail(error),
    );
  }

  /**
   * @param {number} offset
   * @param {Uint8Array} bytes which v86 uses again afterwards
   * @param {() => void} callback
   */
  set(offset, bytes, callback) {
    this.#v86(() => {
      const durable = this.write(offset, bytes);
      const room = isPromise(durable) ? durable : this.#log.room();
      if (room) room.then(() => this.#failure ?? callback(), () => {});
      else callback();
    });
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {(bytes: Uint8Array) => void} callback
   */
  get_and_cache(offset, length, callback) {
    this.get(offset, length, (bytes) => {
      this.#cache.set(offset, bytes);
      callback(bytes);
    });
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array | undefined}
   */
  get_from_cache(offset, length) {
    const cached = this.#cache.get(offset);
    return cached && cached.length >= length ? cached.subarray(0, length) : undefined;
  }

  /**
   * Says that the disk is not in one buffer, as v86's own disks do that are not in memory; {@link image} has it.
   *
   * @param {(buffer?: ArrayBuffer) => void} callback
   */
  get_buffer(callback) {
    callback();
  }

  /** The place in the log, for v86's `save_state`. */
  get_state() {
    const { id, nrEntries, byteLength } = this.#log;
    return [this.byteLength, this.#baseId, id, nrEntries, byteLength, this.writeThrough ? 1 : 0];
  }

  /**
   * Goes on from a saved place, for v86's `restore_state` and `initial_state`.
   *
   * @param {any[]} state
   */
  set_state(state) {
    const [byteLength, baseId, logId, nrEntries, logBytes, writeThrough] = state;
    const log = this.#logs.get(logId);
    if (byteLength !== this.byteLength || baseId !== this.#baseId || !log) {
      throw new LogError(
        "STATE_MISMATCH",
        `the state is of another disk: ${byteLength} bytes over ${baseId} with log ${logId}, not ${this.byteLength} over ${this.#baseId} with ${this.#log.id}`,
      );
    }
    const end = nrEntries < log.nrEntries ? log.entry(nrEntries).offset : log.byteLength;
    if (nrEntries > log.nrEntries || end !== logBytes) {
      throw new LogError("STATE_MISMATCH", `the state was saved at entry ${nrEntries}, byte ${logBytes}, which is not a place in the log`);
    }
    this.writeThrough = writeThrough === 1;
    this.#cache.clear();
    if (log === this.#log && nrEntries === log.nrEntries) return;
    if (this.#restore === "rewind") log.rewindNow(nrEntries);
    else this.#goOnIn(log.forkNow(nrEntries, { sink: this.#forkSink?.() }));
  }

  /** @param {LogWriter} log */
  #goOnIn(log) {
    const old = this.#log;
    this.#watch(log);
    this.#log = log;
    this.onfork?.(log, old);
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {boolean} isUrgent
   */
  #read(offset, length, isUrgent) {
    checkRange(offset, length, this.byteLength);
    return readPieces(this.#log._pieces(offset, length), length, this.#base, this.#log._reader, isUrgent);
  }

  get #baseId() {
    return this.#base?.id ?? "zeros";
  }

  /** @param {LogWriter} log */
  #watch(log) {
    this.#logs.set(log.id, log);
    const before = log.onfailure;
    log.onfailure = (error) => {
      before?.(error);
      if (log === this.#log) this.#fail(error);
    };
    if (log.failure) this.#fail(log.failure);
  }

  /**
   * Checks and does something that changes the disk.
   *
   * @param {number} offset
   * @param {number} length
   * @param {() => void | Promise<void>} log
   */
  #change(offset, length, log) {
    if (this.#failure) throw this.#failure;
    checkRange(offset, length, this.byteLength);
    this.#uncache(offset, length);
    try {
      return log();
    } catch (error) {
      // A log that is full stays full: what comes after would be missing from the disk.
      if (error instanceof LogError && error.code === "NO_SPACE") this.#fail(error);
      throw error;
    }
  }

  /**
   * @param {number} offset
   * @param {number} length
   */
  #uncache(offset, length) {
    for (const [at, bytes] of this.#cache) {
      if (at < offset + length && offset < at + bytes.length) this.#cache.delete(at);
    }
  }

  /**
   * Does what v86 asks for. An error must not reach it, since it would die of it: `onfailure` reports it.
   *
   * @template T
   * @param {() => T} act
   * @returns {T | undefined}
   */
  #v86(act) {
    try {
      return act();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /**
   * A flush that is not in the log, since too many wait: what comes after would claim less than the guest was told.
   *
   * @param {unknown} error
   */
  #failIfBusy(error) {
    if (error instanceof LogError && error.code === "BUSY") this.#fail(error);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#failure) return;
    this.#failure = error instanceof LogError ? error : new LogError("SOURCE_FAILED", String(error), { cause: error });
    this.onfailure?.(this.#failure);
  }
}
