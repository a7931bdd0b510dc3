/** What the bank says of itself on the serial line. */

/**
 * @typedef {object} Verdict
 * @property {boolean} addsUp
 * @property {string} balance such as "7900 of 8000"
 * @property {string} text such as "MONEY LOST"
 * @property {string} journal what it found in its journal at this boot
 */

/**
 * The last verdict in what a guest has printed; null if there is none, as of every other guest.
 *
 * @param {string} printed
 * @returns {Verdict | null}
 */
export function verdictOf(printed) {
  const found = [...printed.matchAll(/^balance (\d+) of (\d+): (adds up|MONEY LOST|MONEY MADE)\r?$/gm)].at(-1);
  if (!found) return null;
  const journal = [...printed.slice(0, found.index).matchAll(/^journal: (.*?)\r?$/gm)].at(-1);
  return { addsUp: found[1] === found[2], balance: `${found[1]} of ${found[2]}`, text: found[3], journal: journal ? journal[1] : "" };
}
