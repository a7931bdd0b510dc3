/** A log of very many small writes, made quickly. */

import { closeSync, openSync, writeSync } from "node:fs";

/**
 * Writes a log of `nrEntries` writes of one sector of 512 bytes to places all over a disk of 1 GiB, a flush after every
 * thousandth, byte by byte as docs/format.md has it: the writer of the package would be what takes the time.
 *
 * @param {string} path
 * @param {number} nrEntries
 */
export function writeBigLog(path, nrEntries) {
  const file = openSync(path, "w");
  const superblock = Buffer.alloc(SECTOR);
  superblock.writeBigUInt64LE(0x6a736677736872n, 0);
  superblock.writeBigUInt64LE(1n, 8);
  superblock.writeBigUInt64LE(BigInt(nrEntries), 16);
  superblock.writeUInt32LE(SECTOR, 24);
  writeSync(file, superblock);
  const chunk = Buffer.alloc(CHUNK_ENTRIES * SECTOR * 2);
  for (let first = 0; first < nrEntries; first += CHUNK_ENTRIES) {
    const nr = Math.min(CHUNK_ENTRIES, nrEntries - first);
    let end = 0;
    for (let entry = first; entry < first + nr; entry += 1) end = writeEntry(chunk, end, entry);
    writeSync(file, chunk, 0, end);
  }
  closeSync(file);
}

/**
 * Where an entry of such a log writes, in sectors; `null` for a flush.
 *
 * @param {number} entry
 */
export function sectorOf(entry) {
  return entry % FLUSH_EVERY === FLUSH_EVERY - 1 ? null : Math.imul(entry, 2654435761) >>> 11;
}

/** The byte that an entry's payload consists of. @param {number} entry */
export function patternOf(entry) {
  return (entry * 7) & 0xff;
}

function writeEntry(chunk, at, entry) {
  const sector = sectorOf(entry);
  chunk.fill(0, at, at + SECTOR);
  if (sector === null) {
    chunk.writeUInt32LE(1, at + 16);
    return at + SECTOR;
  }
  chunk.writeUInt32LE(sector, at);
  chunk.writeUInt32LE(1, at + 8);
  chunk.fill(patternOf(entry), at + SECTOR, at + 2 * SECTOR);
  return at + 2 * SECTOR;
}

const SECTOR = 512;
const FLUSH_EVERY = 1000;
const CHUNK_ENTRIES = 16 << 10;
