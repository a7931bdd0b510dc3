/** The list of entries. */

import { EntryRow } from "./entry-row.js";
import { count, plural } from "./format.js";
import { ROW_PX, Rows } from "./rows.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class EntryList {
  #model;
  #box;
  #status;
  #rows;
  /** @type {EntryRow[]} */
  #pool = [];

  /**
   * @param {HTMLElement} box that scrolls
   * @param {HTMLElement} status which says how many entries there are
   * @param {Model} model
   */
  constructor(box, status, model) {
    this.#model = model;
    this.#box = box;
    this.#status = status;
    this.#rows = new Rows(box, (first, last, top) => this.#draw(first, last, top));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", (event) => this.#click(event));
    model.subscribe((changed) => this.#update(changed));
  }

  /** @param {Set<import("../model/model.js").Part>} changed */
  #update(changed) {
    const { session, filter } = this.#model;
    if (!session) return;
    if (changed.has("entries") || changed.has("filter") || changed.has("session")) {
      filter.follow(session);
      this.#rows.nrRows = filter.nrRows;
      this.#box.ariaRowCount = `${filter.nrRows + 1}`;
      const all = plural(session.columns.length, "entry", "entries");
      this.#status.textContent = filter.isEverything ? all : `${count(filter.nrRows)} of ${all}`;
    }
    if (changed.has("point") || changed.has("filter")) this.#reveal(session);
    this.#rows.redraw();
  }

  /** @param {Session} session */
  #reveal({ point }) {
    const row = this.#model.filter.rowOf(Math.max(point - 1, 0));
    if (row >= 0) this.#rows.reveal(row);
  }

  /**
   * @param {number} first
   * @param {number} last
   * @param {number} top
   */
  #draw(first, last, top) {
    const { session, filter } = this.#model;
    if (!session) return;
    const { log, point } = session;
    // A filter that was changed a moment ago has no rows before the next frame.
    const nrShown = Math.max(Math.min(last, filter.nrRows) - first, 0);
    while (this.#pool.length < nrShown) {
      const row = new EntryRow((entry) => this.#model.toggleLost(entry));
      this.#pool.push(row);
      this.#box.append(row.element);
    }
    this.#pool.forEach(({ element }, nth) => (element.hidden = nth >= nrShown));
    const entries = Array.from({ length: nrShown }, (_, nth) => filter.entryOf(first + nth));
    const volatile = new Set(log.volatileAmong(point, entries));
    for (const [nth, entry] of entries.entries()) {
      this.#pool[nth].show(session, entry, { row: first + nth, top: top + nth * ROW_PX, isLosable: volatile.has(entry) });
    }
    const active = filter.entryOf(filter.rowOf(point - 1));
    const isInSight = this.#pool.some(({ entry, element }) => entry === active && !element.hidden);
    if (point > 0 && isInSight) this.#box.setAttribute("aria-activedescendant", `entry-${active}`);
    else this.#box.removeAttribute("aria-activedescendant");
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const element = /** @type {HTMLElement} */ (event.target).closest(".row");
    const row = this.#pool.find((row) => row.element === element);
    if (row) this.#model.goTo(row.entry + 1);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { session, filter } = this.#model;
    if (!session || event.altKey || event.ctrlKey || event.metaKey) return;
    const row = filter.rowOf(session.point - 1);
    const page = this.#rows.pageRows;
    /** @type {Record<string, number>} */
    const moves = { ArrowUp: row - 1, ArrowDown: row + 1, PageUp: row - page, PageDown: row + page, Home: 0, End: filter.nrRows - 1 };
    if (event.key in moves) this.#goToRow(moves[event.key]);
    else if (event.key === "l" || event.key === "Delete") this.#model.toggleLost(session.point - 1);
    else return;
    event.preventDefault();
  }

  /** @param {number} row */
  #goToRow(row) {
    const { filter } = this.#model;
    if (filter.nrRows === 0) return;
    if (row < 0) this.#model.goTo(0);
    else this.#model.goTo(filter.entryOf(Math.min(row, filter.nrRows - 1)) + 1);
  }
}
