/** Marks that a guest makes by itself, on its serial line. */

/** @typedef {import("./logged-disk.js").LoggedDisk} LoggedDisk */

/**
 * Makes a mark of each line `logwrites:mark NAME` that the guest prints on its first serial port. A name that cannot be a
 * mark is left out.
 *
 * @param {{ add_listener: (name: any, listener: (byte: any) => void) => void, remove_listener: (name: any, listener: (byte: any) => void) => void }} emulator
 * @param {LoggedDisk} disk
 * @returns {() => void} stops it
 */
export function markFromSerial(emulator, disk) {
  const line = new Uint8Array(MAX_LINE_BYTES);
  let length = 0;
  // For each byte that the guest prints: it must not cost much.
  const listener = (/** @type {number} */ byte) => {
    if (byte !== NEWLINE && byte !== RETURN) {
      if (length < MAX_LINE_BYTES) line[length++] = byte;
      return;
    }
    const name = length > PREFIX.length && PREFIX.every((byte, at) => line[at] === byte) ? line.slice(PREFIX.length, length) : null;
    length = 0;
    if (!name) return;
    try {
      disk.mark(TEXTS.decode(name));
    } catch {
      // The guest cannot be told; and a log that has failed tells by itself.
    }
  };
  emulator.add_listener(EVENT, listener);
  return () => emulator.remove_listener(EVENT, listener);
}

const TEXTS = new TextDecoder();
const EVENT = "serial0-output-byte";
const PREFIX = new TextEncoder().encode("logwrites:mark ");
const MAX_LINE_BYTES = 4096;
const NEWLINE = 10;
const RETURN = 13;
