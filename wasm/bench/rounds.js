/** Rounds of what is measured and what is measured beside it, in turns, and the table of them. Runs in Node and in a browser. */

/**
 * @typedef {object} Row
 * @property {string} what
 * @property {number[]} ours what was measured, a number a round
 * @property {string} [beside] what it is compared with
 * @property {number[]} [theirs]
 * @property {string} unit of both
 */

/**
 * Measures one thing and another in turns, so that what else the machine does is the same for both.
 *
 * @param {number} nrRounds
 * @param {() => number | Promise<number>} ours
 * @param {() => number | Promise<number>} theirs
 * @returns {Promise<{ ours: number[], theirs: number[] }>}
 */
export async function inTurns(nrRounds, ours, theirs) {
  const rounds = { ours: /** @type {number[]} */ ([]), theirs: /** @type {number[]} */ ([]) };
  for (let round = 0; round < nrRounds; round += 1) {
    rounds.ours.push(await ours());
    rounds.theirs.push(await theirs());
  }
  return rounds;
}

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** How long something takes, in seconds. @param {() => void} act */
export function timed(act) {
  const start = performance.now();
  act();
  return (performance.now() - start) / 1000;
}

export const TABLE_HEAD = "| what | min / median / max | beside | min / median / max | ratio |\n|---|---:|---|---:|---:|";

/** A row as Markdown. @param {Row} row */
export function tableRow({ what, ours, beside = "", theirs, unit }) {
  const ratio = theirs ? (median(ours) / median(theirs)).toFixed(3) : "";
  return `| ${what} | ${spread(ours)} ${unit} | ${beside} | ${theirs ? `${spread(theirs)} ${unit}` : ""} | ${ratio} |`;
}

/** @param {number[]} values */
function spread(values) {
  return [Math.min(...values), median(values), Math.max(...values)].map((value) => value.toFixed(value < 10 ? 2 : 0)).join(" / ");
}
