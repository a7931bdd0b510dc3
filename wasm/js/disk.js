/** A disk at a point of its history. */

import { LogError } from "./error.js";
import { atOnce, checkRange, readPieces } from "./pieces.js";

/** @typedef {import("../pkg/logwrites_wasm.js").DiskMap} DiskMap */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./pieces.js").Readable} Readable */

/** A disk as a base and the first entries of a log left it. It is a source: the base of another disk, too. */
export class Disk {
  /** @type {DiskMap | null} */
  #map;
  #base;
  #log;

  /**
   * @param {DiskMap} map
   * @param {Source | null} base
   * @param {Readable} log
   * @param {number} byteLength
   * @param {string} id
   */
  constructor(map, base, log, byteLength, id) {
    this.#map = map;
    this.#base = base;
    this.#log = log;
    /** The size of the disk, in bytes. */
    this.byteLength = byteLength;
    /** What a saved state of a disk over this one knows it by. */
    this.id = id;
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
   * Gives its memory back, up to 50 bytes for each run of what was written, at once: otherwise that comes when it is
   * collected, which may be too late for a program that makes many of them. It cannot be read any more.
   */
  free() {
    this.#map?.free();
    this.#map = null;
  }

  /** As {@link free}, for `using`. */
  [Symbol.dispose]() {
    this.free();
  }

  /**
   * The whole disk, a chunk at a time.
   *
   * @param {{ chunkBytes?: number }} [options]
   * @returns {ReadableStream<Uint8Array>}
   */
  image({ chunkBytes = CHUNK_BYTES } = {}) {
    return imageOf(this, chunkBytes);
  }

  /**
   * What does not come from the base, in the order of the disk: `zeros` says that the extent is zeros.
   *
   * @returns {Generator<{ offset: number, length: number, zeros: boolean }>}
   */
  *extents() {
    for (let from = 0; ; ) {
      const runs = this.#there.runs(from, RUNS);
      if (runs.length === 0) return;
      for (let index = 0; index < runs.length; index += 3) {
        const [offset, length, zeros] = runs.subarray(index, index + 3);
        yield { offset, length, zeros: zeros === 1 };
        from = offset + length;
      }
    }
  }

  get #there() {
    if (!this.#map) throw new LogError("CLOSED", "the disk was freed");
    return this.#map;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {boolean} isUrgent
   */
  #read(offset, length, isUrgent) {
    checkRange(offset, length, this.byteLength);
    return readPieces(this.#there.pieces(offset, length), length, this.#base, this.#log, isUrgent);
  }
}

/**
 * @param {{ byteLength: number, readAt(offset: number, length: number): Uint8Array | Promise<Uint8Array> }} disk
 * @param {number} chunkBytes
 * @returns {ReadableStream<Uint8Array>}
 */
export function imageOf(disk, chunkBytes = CHUNK_BYTES) {
  let offset = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        const length = Math.min(chunkBytes, disk.byteLength - offset);
        if (length === 0) {
          controller.close();
          return;
        }
        controller.enqueue(await disk.readAt(offset, length));
        offset += length;
      },
    },
    { highWaterMark: 1 },
  );
}

const CHUNK_BYTES = 1 << 20;
const RUNS = 1024;
