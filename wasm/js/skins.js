/** A disk in the shapes that other emulators and wasm databases want. */

import { LogError } from "./error.js";

/** @typedef {import("./logged-disk.js").LoggedDisk} LoggedDisk */

/**
 * A disk as Infinite Mac's workers have it, and any other caller that reads and writes synchronously.
 *
 * @typedef {object} SyncDisk
 * @property {number} size in bytes
 * @property {(buffer: Uint8Array, offset: number, length: number) => number} read gives how many bytes were read
 * @property {(buffer: Uint8Array, offset: number, length: number) => number} write gives how many bytes were written
 */

/**
 * @param {LoggedDisk} disk whose base and sink can be read at once
 * @returns {SyncDisk}
 */
export function syncDisk(disk) {
  return {
    size: disk.byteLength,
    read(buffer, offset, length) {
      const bytes = disk.readSync(offset, Math.min(length, buffer.length, Math.max(disk.byteLength - offset, 0)));
      buffer.set(bytes);
      return bytes.length;
    },
    write(buffer, offset, length) {
      const bytes = buffer.subarray(0, length);
      writeBytes(disk, offset, bytes);
      return bytes.length;
    },
  };
}

/**
 * A disk as a FileSystemSyncAccessHandle: a file that grows up to the size of the disk.
 *
 * `flush` logs a flush; over a sink that gives promises it does not wait for it, and `disk.flush()` does.
 *
 * @param {LoggedDisk} disk whose base and sink can be read at once
 * @param {{ size?: number }} [options] how long the file is, in bytes: as the base, if not said
 */
export function accessHandle(disk, { size = disk.base?.byteLength ?? 0 } = {}) {
  let isOpen = true;
  const assertOpen = () => {
    if (!isOpen) throw new LogError("CLOSED", "the access handle was closed");
  };
  return {
    /**
     * @param {ArrayBufferView | ArrayBuffer} buffer
     * @param {{ at?: number }} [options]
     */
    read(buffer, { at = 0 } = {}) {
      assertOpen();
      const bytes = bytesOf(buffer);
      const length = Math.min(bytes.length, Math.max(size - at, 0));
      bytes.set(disk.readSync(at, length));
      return length;
    },
    /**
     * @param {ArrayBufferView | ArrayBuffer} buffer
     * @param {{ at?: number }} [options]
     */
    write(buffer, { at = 0 } = {}) {
      assertOpen();
      const bytes = bytesOf(buffer);
      writeBytes(disk, at, bytes);
      size = Math.max(size, at + bytes.length);
      return bytes.length;
    },
    flush() {
      assertOpen();
      disk.flush();
      if (disk.failure) throw disk.failure;
    },
    getSize() {
      assertOpen();
      return size;
    },
    /** @param {number} newSize */
    truncate(newSize) {
      assertOpen();
      if (newSize > disk.byteLength) throw new LogError("NO_SPACE", `the disk has ${disk.byteLength} bytes, and ${newSize} are asked for`);
      if (newSize < size) clear(disk, newSize, size);
      size = newSize;
    },
    close() {
      isOpen = false;
    },
  };
}

/**
 * Writes bytes of any alignment: what a sector has around them is read and written with them.
 *
 * @param {LoggedDisk} disk
 * @param {number} offset
 * @param {Uint8Array} bytes
 */
function writeBytes(disk, offset, bytes) {
  if (bytes.length === 0) return;
  const { start, end } = sectorsAround(disk, offset, bytes.length);
  if (start === offset && end === offset + bytes.length) {
    disk.write(offset, bytes);
    return;
  }
  if (end > disk.byteLength) throw new LogError("NO_SPACE", `${bytes.length} bytes at ${offset} reach beyond the disk, which has ${disk.byteLength}`);
  const sectors = disk.readSync(start, end - start).slice();
  sectors.set(bytes, offset - start);
  disk.write(start, sectors);
}

/**
 * Makes a range zeros, which a file that grows again must have there.
 *
 * @param {LoggedDisk} disk
 * @param {number} from
 * @param {number} to
 */
function clear(disk, from, to) {
  const { end: first } = sectorsAround(disk, from, 0);
  const { end } = sectorsAround(disk, to, 0);
  if (first > from) writeBytes(disk, from, new Uint8Array(first - from));
  if (end > first) disk.writeZeroes(first, end - first);
}

/**
 * @param {LoggedDisk} disk
 * @param {number} offset
 * @param {number} length
 */
function sectorsAround(disk, offset, length) {
  const { sectorSize } = disk.log;
  return { start: offset - (offset % sectorSize), end: Math.ceil((offset + length) / sectorSize) * sectorSize };
}

/** @param {ArrayBufferView | ArrayBuffer} buffer */
function bytesOf(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
