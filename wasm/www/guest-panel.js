/** The guest beside the viewer, if the site has one. */

import { Session } from "./model/session.js";

/** @typedef {import("./logwrites.js").Disk} Disk */
/** @typedef {import("./logwrites.js").LogWriter} LogWriter */
/** @typedef {import("./logwrites.js").LoggedDisk} LoggedDisk */
/** @typedef {import("./model/model.js").Model} Model */

/**
 * What `guest/panel.js` gives.
 *
 * @typedef {object} Guest
 * @property {(disk: Disk, label: string) => unknown} boot a guest from a disk
 * @property {() => unknown} stop
 */

/**
 * Puts the guest into its place. Its logs become sessions of the viewer.
 *
 * @param {HTMLElement} place
 * @param {Model} model
 * @returns {Promise<Guest | null>} null if the site has none
 */
export async function mountGuest(place, model) {
  const url = new URL("./guest/panel.js", import.meta.url).href;
  const found = await fetch(url, { method: "HEAD" }).catch(() => null);
  if (!found?.ok) return null;
  const panel = await import(url);
  place.hidden = false;
  document.body.classList.add("has-guest");
  return panel.mountGuest(place, { onLog: (/** @type {LogWriter} */ log, /** @type {LoggedDisk} */ disk) => model.open(sessionOf(log, disk, model)) });
}

/**
 * @param {LogWriter} log
 * @param {LoggedDisk} disk
 * @param {Model} model
 */
function sessionOf(log, disk, { sessions }) {
  const nth = sessions.filter(({ isLive }) => isLive).length + 1;
  return new Session({
    name: `guest ${nth}`,
    log,
    base: disk.base,
    baseName: disk.base ? "the guest's" : "",
    byteLength: disk.byteLength,
    blob: () => log.blob(),
    isLive: true,
  });
}
