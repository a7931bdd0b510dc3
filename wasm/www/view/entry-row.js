/** A row of the list of entries, which shows one entry after another. */

import { KINDS, MARK } from "../model/columns.js";
import { element } from "./dom.js";
import { count, extent, size } from "./format.js";

/** @typedef {import("../model/session.js").Session} Session */

export class EntryRow {
  /** The entry that is shown. */
  entry = -1;
  #number = element("span", { class: "cell number", role: "gridcell" });
  #kind = element("span", { class: "cell kind", role: "gridcell" });
  #place = element("span", { class: "cell place", role: "gridcell" });
  #size = element("span", { class: "cell size", role: "gridcell" });
  #lose = element("button", { class: "lose", type: "button", tabindex: -1 });

  /** @param {(entry: number) => void} onlose */
  constructor(onlose) {
    this.#lose.addEventListener("click", (event) => {
      event.stopPropagation();
      onlose(this.entry);
    });
    const last = element("span", { class: "cell", role: "gridcell" }, this.#lose);
    this.element = element("div", { class: "row", role: "row" }, this.#number, this.#kind, this.#place, this.#size, last);
  }

  /**
   * @param {Session} session
   * @param {number} entry
   * @param {{ row: number, top: number, isLosable: boolean }} at
   */
  show(session, entry, { row, top, isLosable }) {
    const { columns, point, lost, log } = session;
    const kind = columns.kind[entry];
    const name = KINDS[kind];
    const isLost = lost.has(entry);
    this.entry = entry;
    const { element } = this;
    element.style.transform = `translateY(${top}px)`;
    element.id = `entry-${entry}`;
    element.dataset.kind = name;
    element.ariaRowIndex = `${row + 2}`;
    element.ariaSelected = `${entry === point - 1}`;
    element.classList.toggle("future", entry >= point);
    element.classList.toggle("lost", isLost);
    this.#number.textContent = count(entry);
    this.#kind.textContent = columns.isFlush(entry) && name !== "flush" ? `${name} + flush` : name;
    this.#place.textContent = kind === MARK ? (session.markNames.get(entry) ?? "") : columns.nrSectors[entry] ? extent(columns.sector[entry], columns.nrSectors[entry]) : "";
    this.#size.textContent = columns.changesDisk(entry) ? size(columns.nrSectors[entry] * log.sectorSize) : "";
    this.#lose.hidden = !isLosable;
    this.#lose.textContent = isLost ? "lost" : "lose";
    this.#lose.ariaPressed = `${isLost}`;
    this.#lose.ariaLabel = `entry ${entry} is lost in the crash`;
  }
}
