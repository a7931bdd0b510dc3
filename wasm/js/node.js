/** Files, in Node. */

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

/** @typedef {import("./sink.js").Sink} Sink */

/**
 * A file that the log goes to: a new one, or with `resume` one that is there.
 *
 * @param {string} path
 * @param {{ resume?: boolean }} [options]
 * @returns {Sink & { byteLength: number, read(offset: number, length: number): Uint8Array }}
 */
export function fileSink(path, { resume = false } = {}) {
  const file = openSync(path, resume ? "r+" : "wx+");
  return {
    get byteLength() {
      return fstatSync(file).size;
    },
    write(offset, bytes) {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, offset + done);
    },
    flush: () => fsyncSync(file),
    read: (offset, length) => readFile(file, offset, length),
    truncate: (byteLength) => ftruncateSync(file, byteLength),
    close: () => closeSync(file),
  };
}

/**
 * A file as a source.
 *
 * @param {string} path
 * @returns {import("./source.js").ReadAt & { close(): void }}
 */
export function fileSource(path) {
  const file = openSync(path, "r");
  const { size, mtimeMs } = fstatSync(file);
  const read = (/** @type {number} */ offset, /** @type {number} */ length) => readFile(file, offset, length);
  return { byteLength: size, id: `file:${path}:${size}:${mtimeMs}`, readAt: read, readSync: read, close: () => closeSync(file) };
}

/**
 * @param {number} file
 * @param {number} offset
 * @param {number} length
 */
function readFile(file, offset, length) {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const got = readSync(file, bytes, done, length - done, offset + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}
