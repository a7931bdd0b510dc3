/** A sector of the disk at a point, without the map of the whole disk, which takes long where a log is. */

import { DISCARD } from "./columns.js";

/** @typedef {import("./session.js").Session} Session */

/**
 * The number of the entry that wrote a sector last, or -1 where it is the base's.
 *
 * @param {Session} session
 * @param {number} sector
 * @param {number} point
 * @param {Set<number>} lost
 */
export function lastWriter({ columns }, sector, point, lost) {
  let entry = columns.lastTouching(sector, point);
  while (lost.has(entry)) entry = columns.lastTouching(sector, entry);
  return entry;
}

/**
 * The number of the next entry that touches a sector, from `entry` on, or -1.
 *
 * @param {Session} session
 * @param {number} sector
 * @param {number} entry
 */
export function nextWriter({ columns }, sector, entry) {
  for (; entry < columns.length; entry += 1) if (columns.touches(entry, sector, sector + 1)) return entry;
  return -1;
}

/**
 * A sector at a point, and which entry wrote it (-1: the base).
 *
 * @param {Session} session
 * @param {number} sector
 * @param {number} point
 * @param {Set<number>} lost
 * @returns {Promise<{ bytes: Uint8Array, writer: number }>}
 */
export async function readSector(session, sector, point, lost) {
  const { log, columns } = session;
  const writer = lastWriter(session, sector, point, lost);
  const length = log.sectorSize;
  if (writer < 0) {
    const there = Math.max(Math.min(length, session.byteLength - sector * length), 0);
    return { bytes: await session.disk(0).readAt(sector * length, there), writer };
  }
  if (columns.kind[writer] === DISCARD) return { bytes: new Uint8Array(length), writer };
  return { bytes: await log.payload(writer, { offset: (sector - columns.sector[writer]) * length, length }), writer };
}
