/**
 * Between the recorder, which wants everything to be taken at once, and a sink, which may be slow and may fail: log writes
 * are collected into batches, and batches and flushes go to the sink in order, one after the other.
 */

import { LogError, sinkError } from "./error.js";
import { MemorySink } from "./sink.js";

/** @typedef {import("./sink.js").Sink} Sink */

/**
 * Something that the sink is to do.
 *
 * @typedef {object} Job
 * @property {number} offset where `bytes` go
 * @property {Uint8Array | null} bytes
 * @property {(() => void | Promise<void>) | null} run what to do where there are no bytes
 * @property {(() => void) | null} then what to do when it is done
 */

export class Device {
  /** The payload of the operation that is being submitted. @type {Uint8Array} */
  payload = EMPTY;
  /** Called when a flush that {@link flush} has asked for is done. */
  onflushed = () => {};
  /** Called once, with the error and how much of the log is in the sink. @type {(error: LogError, readable: number) => void} */
  onfailed = () => {};

  #sink;
  /** Whether log writes go straight to the sink's memory. @type {MemorySink | null} */
  #memory;
  /** What a sink that cannot be read would have. @type {MemorySink | null} */
  #mirror;
  #batchBytes;
  /** @type {Uint8Array | null} */
  #batch = null;
  #batchOffset = 0;
  #batchUsed = 0;
  /** @type {Uint8Array | null} */
  #spare = null;
  /** @type {Job[]} */
  #jobs = [];
  #isWaiting = false;
  #pendingBytes = 0;
  /** How much of the log is in the sink. */
  #written = 0;
  /** The superblock that was recorded last. @type {Uint8Array} */
  #superblock = EMPTY;
  /** An error that could not be told at once. @type {unknown} */
  #trouble = null;
  #hasFailed = false;
  /** The promises that wait for a tag. @type {({ resolve: () => void, reject: (failure: number) => void } | undefined)[]} */
  #waiters = [];
  /** How a tag ended that nothing waits for yet: one more than its failure. @type {number[]} */
  #ended = [];
  /** @type {(() => void)[]} */
  #idle = [];
  /** @type {(() => void)[]} */
  #room = [];
  /** Flushes asked for by a recorder that was replaced are not for its successor. */
  #generation = 0;

  /**
   * @param {Sink} sink
   * @param {number} written how much of the log it already holds
   */
  constructor(sink, written = 0) {
    if (typeof sink?.write !== "function" || typeof sink.flush !== "function") {
      throw new LogError("BAD_ARGUMENT", "a sink has write(offset, bytes) and flush()");
    }
    this.#sink = sink;
    this.#memory = sink instanceof MemorySink ? sink : null;
    this.#mirror = sink.read ? null : new MemorySink(Number.MAX_SAFE_INTEGER);
    this.#batchBytes = Math.max(sink.batchBytes ?? BATCH_BYTES, 1);
    this.#written = written;
  }

  get sink() {
    return this.#sink;
  }

  // What the recorder calls.

  /**
   * @param {number} offset
   * @param {Uint8Array} head
   * @param {number} sectorBytes
   * @param {number} bodyBytes
   * @param {boolean} isPayload
   */
  record(offset, head, sectorBytes, bodyBytes, isPayload) {
    if (this.#hasFailed || this.#trouble) return;
    try {
      if (offset === 0) {
        this.#recordSuperblock(head, sectorBytes);
        return;
      }
      if (!this.#appendAtOnce(offset, head, sectorBytes, bodyBytes, isPayload)) {
        this.#append(offset, head, head.length);
        this.#append(offset + head.length, null, sectorBytes - head.length);
        this.#append(offset + sectorBytes, isPayload ? this.payload : null, bodyBytes);
      }
      if (this.#memory) this.#written = offset + sectorBytes + bodyBytes;
    } catch (error) {
      this.#trouble = error;
    }
  }

  /** @param {boolean} isAwaited */
  flush(isAwaited) {
    if (this.#hasFailed) return;
    const generation = this.#generation;
    this.barrier(() => {
      if (isAwaited && generation === this.#generation) this.onflushed();
    });
  }

  /**
   * @param {number} tag
   * @param {number} failure
   */
  done(tag, failure) {
    const waiter = this.#waiters[tag];
    if (!waiter) {
      this.#ended[tag] = failure + 1;
      return;
    }
    this.#waiters[tag] = undefined;
    if (failure) waiter.reject(failure);
    else waiter.resolve();
  }

  // What the writer calls.

  /**
   * Says that nothing waits for a tag, whether it has ended or will.
   *
   * @param {number} tag
   */
  forget(tag) {
    if (!this.#ended[tag]) this.#waiters[tag] = NOBODY;
    this.#ended[tag] = 0;
  }

  /**
   * Waits for the operation with this tag.
   *
   * @param {number} tag
   * @returns {Promise<void>}
   */
  wait(tag) {
    const ended = this.#ended[tag];
    this.#ended[tag] = 0;
    if (ended) return ended === 1 ? Promise.resolve() : Promise.reject(ended - 1);
    return new Promise((resolve, reject) => {
      this.#waiters[tag] = { resolve, reject };
    });
  }

  /**
   * Has the sink make durable what was recorded, then calls `then`.
   *
   * @param {() => void} then
   */
  barrier(then) {
    this.#seal();
    this.#jobs.push({ offset: 0, bytes: null, run: () => this.#sink.flush(), then });
  }

  /** Gives the sink what there is to do, as far as it does it at once. */
  drain() {
    if (this.#trouble) this.#fail(this.#trouble);
    while (this.#jobs.length > 0 && !this.#isWaiting && !this.#hasFailed) {
      const job = this.#jobs[0];
      let result;
      try {
        result = job.bytes ? this.#sink.write(job.offset, job.bytes) : job.run?.();
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (isPromise(result)) {
        this.#wait(job, result);
        return;
      }
      this.#finish(job);
    }
  }

  /** A promise while more is waiting for the sink than should be in memory. @returns {Promise<void> | undefined} */
  room() {
    if (this.#pendingBytes <= this.#batchBytes * BATCHES_WAITING || this.#hasFailed) return undefined;
    return new Promise((resolve) => this.#room.push(resolve));
  }

  /** Resolves when the sink has done all it was given, or has failed. @returns {Promise<void>} */
  idle() {
    if (this.#jobs.length === 0 || this.#hasFailed) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Has the sink be given what is still being collected. */
  push() {
    this.#seal();
    this.drain();
  }

  /**
   * Forgets the log from `byteLength` on. What it was to acknowledge will not come any more.
   *
   * @param {number} byteLength
   */
  truncate(byteLength) {
    this.#seal();
    this.#generation += 1;
    this.#mirror?.truncate(byteLength);
    const run = () => {
      this.#written = Math.min(this.#written, byteLength);
      return this.#sink.truncate?.(byteLength);
    };
    this.#jobs.push({ offset: 0, bytes: null, run, then: null });
    for (const waiter of this.#waiters.splice(0)) waiter?.reject(CUT);
    this.drain();
  }

  /**
   * Takes bytes that another log begins with.
   *
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  copy(offset, bytes) {
    this.#append(offset, bytes, bytes.length);
    if (this.#memory) this.#written = offset + bytes.length;
    this.drain();
  }

  /** Closes the sink. @returns {Promise<void>} */
  async close() {
    await this.#sink.close?.();
  }

  // Reading.

  /**
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array | Promise<Uint8Array>}
   */
  read(offset, length) {
    const memory = this.#memory ?? this.#mirror;
    if (memory) return this.#withSuperblock(offset, memory.read(offset, length));
    const end = offset + length;
    // Copied now: a batch that was written is used again.
    const waiting = [...this.#pending()]
      .filter(({ at, bytes }) => at < end && offset < at + bytes.length)
      .map(({ at, bytes }) => ({ at: Math.max(at, offset), bytes: bytes.slice(Math.max(offset - at, 0), end - at) }));
    const written = Math.min(Math.max(this.#written - offset, 0), length);
    const stored = written > 0 ? (this.#sink.read?.(offset, written) ?? EMPTY) : EMPTY;
    if (waiting.length === 0 && written === length && offset >= this.#superblock.length) return stored;
    const join = (/** @type {Uint8Array} */ stored) => {
      const bytes = new Uint8Array(length);
      bytes.set(stored.subarray(0, written));
      for (const { at, bytes: part } of waiting) bytes.set(part, at - offset);
      return this.#withSuperblock(offset, bytes);
    };
    return isPromise(stored) ? stored.then(join) : join(stored);
  }

  /** What was recorded and is not in the sink yet. */
  *#pending() {
    for (const { offset, bytes } of this.#jobs) {
      if (bytes && offset > 0) yield { at: offset, bytes };
    }
    if (this.#batch) yield { at: this.#batchOffset, bytes: this.#batch.subarray(0, this.#batchUsed) };
  }

  /**
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  #withSuperblock(offset, bytes) {
    if (offset < this.#superblock.length) copyOverlap(bytes, offset, this.#superblock, 0, offset + bytes.length);
    return bytes;
  }

  // Writing.

  /**
   * @param {Uint8Array} head
   * @param {number} sectorBytes
   */
  #recordSuperblock(head, sectorBytes) {
    this.#seal();
    // A sink other than memory gets the bytes later, and then they must be those of now.
    const bytes = this.#memory && this.#superblock.length === sectorBytes ? this.#superblock : new Uint8Array(sectorBytes);
    bytes.set(head);
    this.#superblock = bytes;
    this.#mirror?.write(0, bytes);
    if (this.#memory) this.#memory.write(0, bytes);
    else this.#jobs.push({ offset: 0, bytes, run: null, then: null });
    this.#written = Math.max(this.#written, sectorBytes);
  }

  /**
   * Adds a whole log write at the end of the log, if there is memory for it in one piece.
   *
   * @param {number} offset
   * @param {Uint8Array} head
   * @param {number} sectorBytes
   * @param {number} bodyBytes
   * @param {boolean} isPayload
   * @returns {boolean}
   */
  #appendAtOnce(offset, head, sectorBytes, bodyBytes, isPayload) {
    const length = sectorBytes + bodyBytes;
    if (length > this.#rest(offset)) return false;
    const region = this.#region(offset, length);
    region.set(head);
    region.fill(0, head.length, isPayload ? sectorBytes : length);
    if (isPayload) region.set(this.payload, sectorBytes);
    this.#mirror?.write(offset, region);
    return true;
  }

  /**
   * How much memory there is in one piece for the bytes of the log at `offset`.
   *
   * @param {number} offset
   */
  #rest(offset) {
    if (this.#memory) return this.#memory.rest(offset);
    const isNext = this.#batch && this.#batchOffset + this.#batchUsed === offset;
    return isNext ? this.#batchBytes - this.#batchUsed : this.#batchBytes;
  }

  /**
   * Adds bytes, or N zeros, at the end of the log.
   *
   * @param {number} offset
   * @param {Uint8Array | null} bytes
   * @param {number} length
   */
  #append(offset, bytes, length) {
    for (let done = 0; done < length; ) {
      const region = this.#region(offset + done, length - done);
      if (bytes) region.set(done === 0 && region.length === bytes.length ? bytes : bytes.subarray(done, done + region.length));
      else region.fill(0);
      if (this.#mirror) this.#mirror.write(offset + done, region);
      done += region.length;
    }
  }

  /**
   * Memory for the bytes of the log at `offset`: as much of `length` bytes as there is in one piece.
   *
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array}
   */
  #region(offset, length) {
    if (this.#memory) return this.#memory.region(offset, length);
    if (this.#batch && (this.#batchUsed === this.#batch.length || this.#batchOffset + this.#batchUsed !== offset)) this.#seal();
    if (!this.#batch) {
      this.#batch = this.#spare ?? new Uint8Array(this.#batchBytes);
      this.#spare = null;
      this.#batchOffset = offset;
      this.#batchUsed = 0;
    }
    const region = this.#batch.subarray(this.#batchUsed, this.#batchUsed + length);
    this.#batchUsed += region.length;
    return region;
  }

  /** Ends the batch. */
  #seal() {
    if (!this.#batch) return;
    const bytes = this.#batch.subarray(0, this.#batchUsed);
    this.#batch = null;
    this.#pendingBytes += bytes.length;
    this.#jobs.push({ offset: this.#batchOffset, bytes, run: null, then: null });
  }

  /**
   * @param {Job} job
   * @param {Promise<void>} result
   */
  #wait(job, result) {
    this.#isWaiting = true;
    result.then(
      () => {
        this.#isWaiting = false;
        if (this.#hasFailed) return;
        this.#finish(job);
        this.drain();
      },
      (error) => {
        this.#isWaiting = false;
        this.#fail(error);
      },
    );
  }

  /** @param {Job} job */
  #finish(job) {
    this.#jobs.shift();
    if (job.bytes && job.offset > 0) {
      this.#written = job.offset + job.bytes.length;
      this.#pendingBytes -= job.bytes.length;
      if (job.bytes.buffer.byteLength === this.#batchBytes) this.#spare = new Uint8Array(job.bytes.buffer);
    }
    job.then?.();
    if (this.#room.length > 0 && this.#pendingBytes <= this.#batchBytes * BATCHES_WAITING) for (const tell of this.#room.splice(0)) tell();
    if (this.#jobs.length === 0) for (const tell of this.#idle.splice(0)) tell();
  }

  /** @param {unknown} cause */
  #fail(cause) {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const job = this.#jobs[0];
    const taken = /** @type {any} */ (cause)?.written;
    const readable = this.#written + (job?.bytes && job.offset === this.#written && taken > 0 ? taken : 0);
    this.onfailed(sinkError(cause), readable);
    this.#ended = [];
    for (const tell of [...this.#room.splice(0), ...this.#idle.splice(0)]) tell();
  }

  /**
   * After a failure: writes the superblock that counts what is in the log, if the sink still takes it.
   *
   * @param {Uint8Array} head
   * @param {number} sectorBytes
   */
  async salvage(head, sectorBytes) {
    const bytes = new Uint8Array(sectorBytes);
    bytes.set(head);
    this.#superblock = bytes;
    try {
      const written = this.#sink.write(0, bytes);
      if (isPromise(written)) await written;
      await this.#sink.flush();
    } catch {
      // Then the superblock before it counts, and nothing after it was durable.
    }
  }
}

/**
 * @param {unknown} value
 * @returns {value is Promise<any>}
 */
export function isPromise(value) {
  return typeof (/** @type {any} */ (value)?.then) === "function";
}

/**
 * Copies what `bytes`, which begin at `at`, have of the range from `offset` to `end`.
 *
 * @param {Uint8Array} into the range, which begins at `offset`
 * @param {number} offset
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end
 */
function copyOverlap(into, offset, bytes, at, end) {
  const from = Math.max(offset, at);
  const to = Math.min(end, at + bytes.length);
  if (from < to) into.set(bytes.subarray(from - at, to - at), from - offset);
}

/** How a wait ends when the log was cut before its operation. */
export const CUT = -1;

const NOBODY = { resolve() {}, reject() {} };
const EMPTY = new Uint8Array(0);
const BATCH_BYTES = 1 << 20;
/** So many batches may wait for a slow sink before a caller that writes should wait, too. */
const BATCHES_WAITING = 4;
