/** Crash here: which writes the disk loses, the last one first, and booting the guest from what is left. */

import { byId, element } from "./dom.js";
import { count, extent, plural } from "./format.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class CrashView {
  #model;
  #text = byId("crash-text");
  #toggles = byId("crash-toggles");
  #choice = byId("crash-choice");
  #keep = /** @type {HTMLButtonElement} */ (byId("keep-all"));

  /**
   * @param {Model} model
   * @param {(session: Session) => void} oncrash
   */
  constructor(model, oncrash) {
    this.#model = model;
    byId("crash").addEventListener("click", () => model.session && oncrash(model.session));
    byId("lose-by-chance").addEventListener("click", () => model.loseByChance());
    this.#keep.addEventListener("click", () => model.keepAll());
    model.subscribe((changed) => {
      if (["entries", "point", "lost"].some((part) => changed.has(/** @type {any} */ (part)))) this.#update();
    });
  }

  #update() {
    const { session } = this.#model;
    if (!session) return;
    const { log, point, lost } = session;
    const nr = log.nrVolatile(point);
    const entries = log.volatile(point, MAX_TOGGLES);
    this.#text.textContent = nr === 0
      ? "Everything before this point is durable: a crash loses nothing."
      : `${plural(nr, "write")} that no flush covers: a crash may lose any of them.${lost.size ? ` Lost now: ${count(lost.size)}.` : ""}`;
    this.#choice.hidden = nr === 0;
    this.#keep.disabled = lost.size === 0;
    const hasFocus = this.#toggles.contains(document.activeElement) ? document.activeElement?.getAttribute("data-entry") : null;
    const more = nr > MAX_TOGGLES ? [element("span", { class: "muted" }, `… ${count(nr - MAX_TOGGLES)} earlier ones: in the list`)] : [];
    this.#toggles.replaceChildren(...entries.map((entry) => this.#toggle(session, entry)), ...more);
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
