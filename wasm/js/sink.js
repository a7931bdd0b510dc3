/** Where the log goes. */

import { LogError } from "./error.js";

/**
 * Where a log goes, as anybody may implement it. Offsets and lengths are in bytes.
 *
 * @typedef {object} Sink
 * @property {(offset: number, bytes: Uint8Array) => void | Promise<void>} write
 *   `bytes` stay as they are until it returns, or until its promise resolves
 * @property {() => void | Promise<void>} flush makes what was written durable
 * @property {(offset: number, length: number) => Uint8Array | Promise<Uint8Array>} [read]
 * @property {(byteLength: number) => void | Promise<void>} [truncate]
 * @property {() => void | Promise<void>} [close]
 * @property {number} [byteLength] how much it holds; with `read`, for going on with a log
 * @property {number} [batchBytes] how much to collect for one write: 1 MiB if not said
 */

/** A log in memory, in chunks. */
export class MemorySink {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #chunks = [];
  #byteLength = 0;
  #maxBytes;

  /** @param {number} maxBytes */
  constructor(maxBytes) {
    this.#maxBytes = maxBytes;
  }

  get byteLength() {
    return this.#byteLength;
  }

  /**
   * The memory from `offset` on, to be written to: as much of `length` bytes as lies in one chunk.
   *
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array}
   */
  region(offset, length) {
    if (offset + length > this.#maxBytes) {
      throw new LogError("SINK_FULL", `the log's sink is full: it may take ${this.#maxBytes} bytes`);
    }
    const index = Math.floor(offset / CHUNK_BYTES);
    while (this.#chunks.length <= index) this.#chunks.push(new Uint8Array(CHUNK_BYTES));
    const at = offset - index * CHUNK_BYTES;
    const region = this.#chunks[index].subarray(at, Math.min(at + length, CHUNK_BYTES));
    this.#byteLength = Math.max(this.#byteLength, offset + region.length);
    return region;
  }

  /**
   * How much of the memory from `offset` on lies in one chunk.
   *
   * @param {number} offset
   */
  rest(offset) {
    return CHUNK_BYTES - (offset % CHUNK_BYTES);
  }

  /**
   * @param {number} offset
   * @param {Uint8Array} bytes
   */
  write(offset, bytes) {
    for (let done = 0; done < bytes.length; ) {
      const region = this.region(offset + done, bytes.length - done);
      region.set(bytes.subarray(done, done + region.length));
      done += region.length;
    }
  }

  flush() {}

  /**
   * @param {number} offset
   * @param {number} length
   * @returns {Uint8Array}
   */
  read(offset, length) {
    const end = Math.min(offset + length, this.#byteLength);
    const at = offset % CHUNK_BYTES;
    if (at + length <= CHUNK_BYTES && end === offset + length) {
      return this.#chunks[(offset - at) / CHUNK_BYTES].slice(at, at + length);
    }
    const bytes = new Uint8Array(Math.max(end - offset, 0));
    for (let done = 0; done < bytes.length; ) {
      const region = this.region(offset + done, bytes.length - done);
      bytes.set(region, done);
      done += region.length;
    }
    return bytes;
  }

  /** @param {number} byteLength */
  truncate(byteLength) {
    this.#chunks.length = Math.min(this.#chunks.length, Math.ceil(byteLength / CHUNK_BYTES));
    this.#chunks[Math.floor(byteLength / CHUNK_BYTES)]?.fill(0, byteLength % CHUNK_BYTES);
    this.#byteLength = Math.min(this.#byteLength, byteLength);
  }

  /** What it holds, as it is now. */
  blob() {
    const parts = this.#chunks.map((chunk, index) => chunk.subarray(0, this.#byteLength - index * CHUNK_BYTES));
    return new Blob(parts, { type: "application/octet-stream" });
  }
}

/**
 * A log in memory.
 *
 * @param {{ maxBytes?: number }} [options] how long it may become: as long as there is memory, if not said
 */
export function memorySink({ maxBytes = Number.MAX_SAFE_INTEGER } = {}) {
  return new MemorySink(maxBytes);
}

/**
 * What is used of a FileSystemSyncAccessHandle.
 *
 * @typedef {object} AccessHandle
 * @property {(buffer: Uint8Array<ArrayBuffer>, options: { at: number }) => number} read
 * @property {(buffer: Uint8Array<ArrayBuffer>, options: { at: number }) => number} write
 * @property {() => void} flush
 * @property {() => number} getSize
 * @property {(byteLength: number) => void} truncate
 * @property {() => void} close
 */

/**
 * A file of the page's own file system, in a worker.
 *
 * @param {string | FileSystemFileHandle | AccessHandle} file its name, its handle, or an open access handle
 * @returns {Promise<Sink & { byteLength: number }>}
 */
export async function opfsSink(file) {
  if (typeof file === "string") {
    const directory = await globalThis.navigator?.storage?.getDirectory?.();
    if (!directory) throw new LogError("UNSUPPORTED", "there is no origin private file system here (navigator.storage)");
    file = await directory.getFileHandle(file, { create: true });
  }
  if ("getSize" in file) return accessHandleSink(file);
  const open = /** @type {any} */ (file).createSyncAccessHandle;
  if (!open) throw new LogError("UNSUPPORTED", "synchronous access handles exist in workers only (createSyncAccessHandle)");
  return accessHandleSink(await open.call(file));
}

/**
 * @param {AccessHandle} handle
 * @returns {Sink & { byteLength: number }}
 */
function accessHandleSink(handle) {
  return {
    get byteLength() {
      return handle.getSize();
    },
    write(offset, bytes) {
      const written = handle.write(/** @type {Uint8Array<ArrayBuffer>} */ (bytes), { at: offset });
      if (written === bytes.length) return;
      // A file system that is full may take a part. Chromium, over its quota, gives a negative number, and that unsigned.
      const taken = written < bytes.length ? Math.max(written, 0) : 0;
      throw Object.assign(new Error(`${taken} of ${bytes.length} bytes were taken`), { code: "ENOSPC", written: taken });
    },
    flush: () => handle.flush(),
    read(offset, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, handle.read(bytes, { at: offset }));
    },
    truncate: (byteLength) => handle.truncate(byteLength),
    close: () => handle.close(),
  };
}

const CHUNK_BYTES = 1 << 20;
