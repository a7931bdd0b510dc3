/** What the list of entries is filtered by. */

import { KINDS } from "../model/columns.js";
import { parseSectors } from "../model/filter.js";
import { byId, element } from "./dom.js";
import { count } from "./format.js";

/** @typedef {import("../model/model.js").Model} Model */

export class FilterBar {
  #model;
  #kinds;
  #mark = /** @type {HTMLInputElement} */ (byId("filter-mark"));
  #sectors = /** @type {HTMLInputElement} */ (byId("filter-sectors"));

  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
    this.#kinds = KINDS.map((name, kind) => {
      const nr = element("span", { class: "nr" });
      const chip = element("button", { type: "button", class: "chip", "data-kind": name, click: () => this.#toggle(kind) }, name, nr);
      byId("filter-kinds").append(chip);
      return { chip, nr };
    });
    this.#mark.addEventListener("input", () => model.setFilter({ mark: this.#mark.value }));
    this.#sectors.addEventListener("input", () => this.#setSectors());
    model.subscribe((changed) => this.#update(changed));
  }

  /** @param {number} kind */
  #toggle(kind) {
    const { kinds } = this.#model.filter.conditions;
    this.#model.setFilter({ kinds: kinds.map((isShown, other) => (other === kind ? !isShown : isShown)) });
  }

  #setSectors() {
    const sectors = parseSectors(this.#sectors.value);
    this.#sectors.ariaInvalid = `${sectors === undefined}`;
    if (sectors !== undefined) this.#model.setFilter({ sectors });
  }

  /** @param {Set<import("../model/model.js").Part>} changed */
  #update(changed) {
    const { session, filter } = this.#model;
    if (!session) return;
    if (changed.has("session")) {
      this.#mark.value = this.#sectors.value = "";
      this.#sectors.ariaInvalid = "false";
    }
    this.#kinds.forEach(({ chip, nr }, kind) => {
      if (changed.has("entries")) nr.textContent = count(session.columns.counts[kind]);
      if (changed.has("filter")) chip.ariaPressed = `${filter.conditions.kinds[kind]}`;
    });
  }
}
