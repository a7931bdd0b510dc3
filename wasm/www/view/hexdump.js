/** Bytes as a hexdump, those marked that differ from others. */

import { element } from "./dom.js";
import { hex } from "./format.js";

/**
 * @param {Uint8Array} bytes
 * @param {Uint8Array} before bytes to compare with
 * @param {number} offset of the first byte, in bytes
 * @param {number} perRow how many bytes a row has
 * @returns {HTMLElement[]} a row each
 */
export function hexdump(bytes, before, offset, perRow) {
  const digits = Math.max(8, (offset + bytes.length).toString(16).length);
  const rows = [];
  for (let at = 0; at < bytes.length; at += perRow) {
    const end = Math.min(at + perRow, bytes.length);
    const runs = runsOf(bytes, before, at, end);
    const codes = runs.map(([from, to, isChanged]) => part(hexOf(bytes, from, to, at), isChanged));
    const texts = runs.map(([from, to, isChanged]) => part(textOf(bytes, from, to), isChanged));
    const address = element("span", { class: "address" }, hex(offset + at, digits));
    rows.push(element("div", { class: "hex-row" }, address, element("span", { class: "codes" }, ...codes), element("span", { class: "text" }, ...texts)));
  }
  return rows;
}

/**
 * How many bytes differ.
 *
 * @param {Uint8Array} bytes
 * @param {Uint8Array} before
 */
export function nrChanged(bytes, before) {
  let nr = 0;
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== before[at]) nr += 1;
  return nr;
}

/**
 * The runs of bytes that differ, and of those that do not.
 *
 * @param {Uint8Array} bytes
 * @param {Uint8Array} before
 * @param {number} from
 * @param {number} end
 * @returns {[from: number, to: number, isChanged: boolean][]}
 */
function runsOf(bytes, before, from, end) {
  /** @type {[number, number, boolean][]} */
  const runs = [];
  for (let at = from; at < end; at += 1) {
    const isChanged = bytes[at] !== before[at];
    const last = runs.at(-1);
    if (last && last[2] === isChanged) last[1] = at + 1;
    else runs.push([at, at + 1, isChanged]);
  }
  return runs;
}

/**
 * @param {string} text
 * @param {boolean} isChanged
 */
function part(text, isChanged) {
  return isChanged ? element("mark", {}, text) : text;
}

/**
 * With a space before each byte but the row's first, and one more in the row's middle.
 *
 * @param {Uint8Array} bytes
 * @param {number} from
 * @param {number} to
 * @param {number} start of the row
 */
function hexOf(bytes, from, to, start) {
  let text = "";
  for (let at = from; at < to; at += 1) text += `${at === start ? "" : (at - start) % 8 === 0 ? "  " : " "}${hex(bytes[at], 2)}`;
  return text;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} from
 * @param {number} to
 */
function textOf(bytes, from, to) {
  let text = "";
  for (let at = from; at < to; at += 1) text += bytes[at] >= 0x20 && bytes[at] < 0x7f ? String.fromCharCode(bytes[at]) : "·";
  return text;
}
