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
  const decoder = new TextDecoder();
  /** @type {number[]} */
  let line = [];
  const listener = (/** @type {number} */ byte) => {
    if (byte !== NEWLINE && byte !== RETURN) {
      if (line.length < MAX_LINE_BYTES) line.push(byte);
      return;
    }
    const text = decoder.decode(Uint8Array.from(line));
    line = [];
    if (!text.startsWith(PREFIX)) return;
    try {
      disk.mark(text.slice(PREFIX.length));
    } catch {
      // The guest cannot be told; and a log that has failed tells by itself.
    }
  };
  emulator.add_listener(EVENT, listener);
  return () => emulator.remove_listener(EVENT, listener);
}

const EVENT = "serial0-output-byte";
const PREFIX = "logwrites:mark ";
const MAX_LINE_BYTES = 4096;
const NEWLINE = 10;
const RETURN = 13;
