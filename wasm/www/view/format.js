/** Numbers and sizes as people read them. */

/** @param {number} value */
export function count(value) {
  return NUMBERS.format(value);
}

/**
 * A size with a binary unit: exact where it is short, rounded to three digits where not.
 *
 * @param {number} bytes
 */
export function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  const digits = Number.isInteger(bytes) || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
  return `${bytes.toFixed(digits)} ${UNITS[unit]}`;
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/**
 * Which sectors an entry is about.
 *
 * @param {number} sector
 * @param {number} nrSectors
 */
export function extent(sector, nrSectors) {
  return `${sector}+${nrSectors}`;
}

/**
 * A number in hexadecimal, with `digits` digits.
 *
 * @param {number} value
 * @param {number} digits
 */
export function hex(value, digits) {
  return value.toString(16).padStart(digits, "0");
}

const NUMBERS = new Intl.NumberFormat("en-GB");
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
