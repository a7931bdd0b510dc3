/** Crash here: which writes the disk loses, the last one first, and booting the guest from what is left. */

import { epochStart, isLosable } from "../model/epoch.js";
import { byId, element } from "./dom.js";
import { count, extent, plural } from "./format.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class CrashView {
  #model;
  #text = byId("crash-text");
  #toggles = byId("crash-toggles");

  /**
   * @param {Model} model
   * @param {(session: Session) => void} oncrash
   */
  constructor(model, oncrash) {
    this.#model = model;
    byId("crash").addEventListener("click", () => model.session && oncrash(model.session));
    model.subscribe((changed) => {
      if (["entries", "point", "lost"].some((part) => changed.has(/** @type {any} */ (part)))) this.#update();
    });
  }

  #update() {
    const { session } = this.#model;
    if (!session) return;
    const { columns, point, lost } = session;
    const start = epochStart(columns, point);
    const losable = [];
    let nr = 0;
    for (let entry = point - 1; entry >= start; entry -= 1) {
      if (!isLosable(columns, start, point, entry)) continue;
      nr += 1;
      if (losable.length < MAX_TOGGLES) losable.push(entry);
    }
    this.#text.textContent = nr === 0
      ? "Everything in front of this point is durable: a crash loses nothing."
      : `${plural(nr, "write")} since the last flush: a crash may lose any of them.${lost.size ? ` Lost now: ${count(lost.size)}.` : ""}`;
    const hasFocus = this.#toggles.contains(document.activeElement) ? document.activeElement?.getAttribute("data-entry") : null;
    const more = nr > losable.length ? [element("span", { class: "muted" }, `… ${count(nr - losable.length)} earlier ones: in the list`)] : [];
    this.#toggles.replaceChildren(...losable.map((entry) => this.#toggle(session, entry)), ...more);
    if (hasFocus) /** @type {HTMLElement | null} */ (this.#toggles.querySelector(`[data-entry="${hasFocus}"]`))?.focus();
  }

  /**
   * @param {Session} session
   * @param {number} entry
   */
  #toggle({ columns, lost }, entry) {
    const isLost = lost.has(entry);
    return element(
      "button",
      {
        type: "button",
        class: "chip lose-chip",
        "aria-pressed": `${isLost}`,
        "aria-label": `entry ${entry} is lost in the crash`,
        "data-entry": entry,
        click: () => this.#model.toggleLost(entry),
      },
      `#${count(entry)} `,
      element("span", { class: "nr" }, extent(columns.sector[entry], columns.nrSectors[entry])),
    );
  }
}

const MAX_TOGGLES = 24;
