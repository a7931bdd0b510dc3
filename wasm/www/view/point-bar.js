/** Going to a point: a slider, a number, and steps by entry, flush and mark. */

import { byId } from "./dom.js";
import { count } from "./format.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class PointBar {
  #model;
  #slider = /** @type {HTMLInputElement} */ (byId("slider"));
  #number = /** @type {HTMLInputElement} */ (byId("point"));
  /** Whether a person is typing a number, which must stay then, although the log may grow. */
  #isEdited = false;

  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
    this.#slider.addEventListener("input", () => model.goTo(Number(this.#slider.value)));
    this.#number.addEventListener("input", () => (this.#isEdited = true));
    this.#number.addEventListener("blur", () => (this.#isEdited = false));
    this.#number.addEventListener("change", () => {
      this.#isEdited = false;
      model.goTo(Number(this.#number.value));
    });
    for (const [id, pointOf] of Object.entries(STEPS)) {
      byId(id).addEventListener("click", () => model.session && model.goTo(pointOf(model.session)));
    }
    model.subscribe((changed) => this.#update(changed));
  }

  /** @param {Set<import("../model/model.js").Part>} changed */
  #update(changed) {
    const { session } = this.#model;
    if (!session || !(changed.has("point") || changed.has("entries"))) return;
    const { point, columns } = session;
    this.#slider.max = this.#number.max = `${columns.length}`;
    this.#slider.value = `${point}`;
    this.#slider.ariaValueText = `point ${point} of ${columns.length}`;
    if (!this.#isEdited) this.#number.value = `${point}`;
    byId("point-of").textContent = `of ${count(columns.length)}`;
  }
}

/** The points that the buttons go to. @type {Record<string, (session: Session) => number>} */
const STEPS = {
  "to-start": () => 0,
  "to-end": ({ columns }) => columns.length,
  "mark-before": ({ markBefore }) => markBefore,
  "mark-after": ({ marks, point, columns }) => (marks.find(({ entry }) => entry >= point)?.entry ?? columns.length - 1) + 1,
  "flush-before": ({ flushBefore }) => flushBefore,
  "flush-after": ({ flushAfter }) => flushAfter,
  "entry-before": ({ point }) => point - 1,
  "entry-after": ({ point }) => point + 1,
};
