/** Writing a log. */

import { Recorder, RecorderOptions } from "../pkg/logwrites_wasm.js";
import { CUT, Device, isPromise } from "./device.js";
import { LogError } from "./error.js";
import { History } from "./history.js";
import { assertReady } from "./init.js";
import { atOnce } from "./pieces.js";
import { scan } from "./scan.js";
import { memorySink } from "./sink.js";
import { Source, toSource } from "./source.js";

/** @typedef {import("./sink.js").Sink} Sink */
/** @typedef {import("../pkg/logwrites_wasm.js").History} RawHistory */

/**
 * How a log is written.
 *
 * @typedef {object} LogWriterOptions
 * @property {Sink} [sink] where to: into memory, if not said
 * @property {number} [sectorSize] in bytes, a power of two from 32 to 8 MiB: 512, if not said
 * @property {number} [capacity] how long the log may become, in bytes
 * @property {string} [id] by which saved states know the log again: random, if not said
 * @property {"with-flush" | "barrier"} [superblockPolicy] when a superblock counts an entry: with the flush after it, or only
 *   when the entry is durable, at the cost of a flush of the sink more
 * @property {number} [superblockInterval] a superblock is also written every N entries: 4096 by default
 * @property {(error: LogError) => void} [onfailure] called once when the sink fails
 */

/** A log that is written. All of {@link History} works while it grows. */
export class LogWriter extends History {
  /** Called once when the sink fails. @type {((error: LogError) => void) | undefined} */
  onfailure;

  /** Resolves when the superblock of a log whose sink has failed was written, if that was possible. @internal */
  _salvaged = Promise.resolve();

  /** @type {Recorder} */
  #recorder;
  #device;
  #options;
  #id;
  /** @type {LogError | null} */
  #failure = null;
  #isClosed = false;

  /** @param {LogWriterOptions} [options] */
  constructor(options = {}) {
    super();
    assertReady();
    const { sink = memorySink(), onfailure } = options;
    const { [RESUME]: resume } = /** @type {LogWriterOptions & Resume} */ (options);
    if (!resume && (sink.byteLength ?? 0) > 0) {
      throw new LogError(
        "SINK_NOT_EMPTY",
        "the sink is not empty: continue its log with LogWriter.resume, or truncate it to 0 first",
      );
    }
    this.onfailure = onfailure;
    this.#options = options;
    this.#id = options.id ?? randomId();
    this.#device = resume?.device ?? new Device(sink, resume?.history.endBytes);
    this.#device.onflushed = () => this.#recorder.flushed(true);
    this.#device.onfailed = (error, readable) => this.#fail(error, readable);
    this.#recorder = resume
      ? Recorder.resume(this.#device, rawOptions(options), resume.history, resume.history.nrEntries)
      : new Recorder(this.#device, rawOptions(options));
    this._begin(this.#recorder.history, {
      byteLength: Number.MAX_SAFE_INTEGER,
      read: (offset, length) => this.#device.read(offset, length),
    });
    this.#device.drain();
    if (this.#failure) throw this.#failure;
  }

  /**
   * Continues the log that a sink holds, after the entries that its superblock counts.
   *
   * @param {LogWriterOptions & { sink: Sink }} options the sector size is the log's
   * @returns {Promise<LogWriter>}
   */
  static async resume(options) {
    const { sink } = options;
    if (!sink?.read || sink.byteLength === undefined) {
      throw new LogError("BAD_ARGUMENT", "a log can only be continued in a sink with read(offset, length) and byteLength");
    }
    const readAt = sink.read.bind(sink);
    const { history, damage } = await scan(toSource({ byteLength: sink.byteLength, readAt }), {});
    if (damage) throw damage;
    const whole = { ...options, sectorSize: history.sectorSize };
    return new LogWriter(/** @type {LogWriterOptions} */ ({ ...whole, [RESUME]: { history } }));
  }

  /** What saved states know the log by. */
  get id() {
    return this.#id;
  }

  /** Why nothing is logged any more, if the sink has failed. */
  get failure() {
    return this.#failure;
  }

  /**
   * Logs a write. The bytes are copied before it returns.
   *
   * @param {number} offset on the disk, in bytes
   * @param {Uint8Array} bytes
   * @param {{ fua?: boolean }} [options] with `fua` there is a promise, which resolves when the write is durable
   * @returns {void | Promise<void>}
   */
  write(offset, bytes, { fua = false } = {}) {
    this.#assertOpen();
    this.#device.payload = bytes;
    return this.#end(this.#recorder.write(offset, bytes.length, fua), fua);
  }

  /**
   * Logs a write of zeros.
   *
   * @param {number} offset on the disk, in bytes
   * @param {number} length in bytes
   * @param {{ fua?: boolean }} [options] as for {@link write}
   * @returns {void | Promise<void>}
   */
  writeZeroes(offset, length, { fua = false } = {}) {
    this.#assertOpen();
    return this.#end(this.#recorder.writeZeroes(offset, length, fua), fua);
  }

  /**
   * Logs a discard, which leaves zeros.
   *
   * @param {number} offset on the disk, in bytes
   * @param {number} length in bytes
   */
  discard(offset, length) {
    this.#assertOpen();
    this.#end(this.#recorder.discard(offset, length), false);
  }

  /**
   * Logs a mark.
   *
   * @param {string} name
   */
  mark(name) {
    this.#assertOpen();
    this.#end(this.#recorder.mark(TEXTS.encode(name)), false);
  }

  /**
   * Logs a flush, if anything was logged since the last one.
   *
   * @returns {Promise<void>} resolves when everything before it is durable
   */
  flush() {
    try {
      this.#assertOpen();
      return /** @type {Promise<void>} */ (this.#end(this.#recorder.flush(), true));
    } catch (error) {
      return quietly(Promise.reject(error));
    }
  }

  /** The same for a caller that does not wait, which costs less. @internal */
  _flushAndForget() {
    this.#assertOpen();
    this.#end(this.#recorder.flush(), false);
  }

  /**
   * Makes durable what is logged, with a superblock that counts it, and logs nothing.
   *
   * @returns {Promise<void>}
   */
  sync() {
    return quietly(this.#sync());
  }

  /**
   * Closes the log, and its sink. A log in memory can still be read.
   *
   * @returns {Promise<void>}
   */
  async close() {
    if (this.#isClosed) return;
    this.#assertOpen();
    this.#isClosed = true;
    this.#recorder.finish();
    this.#device.drain();
    await this.#device.idle();
    if (this.#failure) throw this.#failure;
    await this.#device.close();
  }

  /**
   * A promise while so much waits for a slow sink that a caller that writes should wait.
   *
   * @returns {Promise<void> | undefined}
   */
  room() {
    return this.#device.room();
  }

  /** The log so far, a readable one. Logging continues. @returns {Promise<Blob>} */
  async blob() {
    if (!this.#isClosed && !this.#failure) this.#recorder.count();
    this.#device.push();
    const sink = this.#device.sink;
    if ("blob" in sink && typeof sink.blob === "function") return sink.blob();
    await this.#device.idle();
    const parts = [];
    for (const [offset, length] of chunks(0, this.byteLength)) {
      parts.push(/** @type {Uint8Array<ArrayBuffer>} */ (await this.#device.read(offset, length)).slice());
    }
    return new Blob(parts, { type: "application/octet-stream" });
  }

  /** The log up to its present end, read in place. */
  source() {
    if (!this.#isClosed && !this.#failure) this.#recorder.count();
    this.#device.push();
    const readAt = (/** @type {number} */ offset, /** @type {number} */ length) => this.#device.read(offset, length);
    return new Source({ byteLength: this.byteLength, id: `log:${this.id}`, readAt });
  }

  /**
   * Cuts the log after the entries before `point`, and continues from there.
   *
   * @param {number} point
   * @returns {Promise<void>}
   */
  async rewind(point) {
    await this.#device.idle();
    this.rewindNow(point);
    await this.#device.idle();
    if (this.#failure) throw this.#failure;
  }

  /**
   * The same at once. Flushes that wait for a slow sink are never acknowledged.
   *
   * @param {number} point
   */
  rewindNow(point) {
    this.#assertOpen();
    const history = this._raw;
    if (point > history.nrEntries) throw new LogError("OUT_OF_RANGE", `there is no point ${point}: there are ${history.nrEntries}`);
    const end = point < history.nrEntries ? this.entry(point).offset : history.endBytes;
    this.#device.truncate(end);
    const old = this.#recorder;
    this.#recorder = Recorder.resume(this.#device, rawOptions(this.#whole()), history, point);
    old.free();
    this._begin(this.#recorder.history, this._log);
    this.#device.drain();
    if (this.#failure) throw this.#failure;
  }

  /**
   * A writer whose log begins with the entries before `point`. This one remains unchanged.
   *
   * @param {number} point
   * @param {LogWriterOptions} [options] of the new one; the sector size is this one's
   * @returns {Promise<LogWriter>}
   */
  async fork(point, options = {}) {
    const fork = this.#fork(point, options);
    for (const [offset, length] of chunks(this.sectorSize, fork.history.endBytes)) {
      fork.device.copy(offset, await this.#device.read(offset, length));
      await fork.device.room();
    }
    return this.#forked(fork, options);
  }

  /**
   * The same at once; `NOT_SYNC` if this log's sink cannot be read at once.
   *
   * @param {number} point
   * @param {LogWriterOptions} [options]
   * @returns {LogWriter}
   */
  forkNow(point, options = {}) {
    const fork = this.#fork(point, options);
    for (const [offset, length] of chunks(this.sectorSize, fork.history.endBytes)) {
      fork.device.copy(offset, atOnce(this.#device.read(offset, length)));
    }
    return this.#forked(fork, options);
  }

  /** The log's bytes, those included that wait for the sink. @internal */
  get _reader() {
    return this._log;
  }

  /**
   * Where a range of the disk is, as {@link readPieces} wants it.
   *
   * @internal
   * @param {number} offset
   * @param {number} length
   * @returns {Float64Array}
   */
  _pieces(offset, length) {
    return this.#recorder.pieces(offset, length);
  }

  #assertOpen() {
    if (this.#failure) throw this.#failure;
    if (this.#isClosed) throw new LogError("CLOSED", "the log was closed");
  }

  /**
   * Ends an operation that the recorder has taken.
   *
   * @param {number} tag
   * @param {boolean} isWaitedFor
   * @returns {void | Promise<void>}
   */
  #end(tag, isWaitedFor) {
    if (isWaitedFor) {
      const done = this.#device.wait(tag).catch((failure) => {
        throw failure === CUT ? new LogError("CLOSED", "the log was cut before it") : (this.#failure ?? failure);
      });
      this.#device.drain();
      return quietly(done);
    }
    this.#device.forget(tag);
    this.#device.drain();
    if (this.#failure) throw this.#failure;
  }

  async #sync() {
    this.#assertOpen();
    this.#recorder.count();
    await new Promise((resolve, reject) => {
      this.#device.barrier(() => resolve(undefined));
      this.#device.drain();
      this.#device.idle().then(() => this.#failure && reject(this.#failure));
    });
  }

  /**
   * @param {LogError} error
   * @param {number} readable
   */
  #fail(error, readable) {
    if (this.#failure) return;
    this.#failure = error;
    const superblock = this.#recorder.fail(readable);
    this._salvaged = this.#device.salvage(superblock, this.sectorSize);
    this.onfailure?.(error);
  }

  #whole() {
    return { ...this.#options, sectorSize: this.sectorSize };
  }

  /**
   * @param {number} point
   * @param {LogWriterOptions} options
   */
  #fork(point, { sink = memorySink() }) {
    if ((sink.byteLength ?? 0) > 0) throw new LogError("SINK_NOT_EMPTY", "the fork's sink holds something already");
    return { history: this._raw.fork(point), device: new Device(sink, this.sectorSize) };
  }

  /**
   * @param {{ history: RawHistory, device: Device }} fork
   * @param {LogWriterOptions} options
   * @returns {LogWriter}
   */
  #forked(fork, options) {
    return new LogWriter(/** @type {LogWriterOptions} */ ({ ...this.#whole(), id: undefined, onfailure: undefined, ...options, [RESUME]: fork }));
  }
}

/** @param {LogWriterOptions} options */
function rawOptions({ sectorSize = 512, capacity = -1, superblockPolicy = "with-flush", superblockInterval = 4096 }) {
  if (!POLICIES.includes(superblockPolicy)) throw new LogError("BAD_ARGUMENT", `superblockPolicy is one of ${POLICIES.join(", ")}`);
  return new RecorderOptions(sectorSize, capacity, superblockPolicy === "barrier", superblockInterval);
}

/**
 * Lets a promise be rejected without anybody looking: `onfailure` says it, too.
 *
 * @template T
 * @param {Promise<T>} promise
 */
function quietly(promise) {
  promise.catch(() => {});
  return promise;
}

/**
 * A range in pieces that are easy to copy.
 *
 * @param {number} start
 * @param {number} end
 * @returns {Generator<[offset: number, length: number]>}
 */
function* chunks(start, end) {
  for (let offset = start; offset < end; offset += COPY_BYTES) yield [offset, Math.min(COPY_BYTES, end - offset)];
}

/** Also where `crypto.randomUUID` is missing, on a page without TLS. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * How the constructor gets a log to continue.
 *
 * @typedef {{ [RESUME]?: { history: RawHistory, device?: Device } }} Resume
 */
const RESUME = Symbol("resume");
const TEXTS = new TextEncoder();
const POLICIES = ["with-flush", "barrier"];
const COPY_BYTES = 1 << 20;
