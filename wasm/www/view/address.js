/** The address of the page, which says what is shown: `#at=117^103`, a point, or a state that a crash can leave. */

/** @typedef {import("../model/model.js").Model} Model */

export class Address {
  #model;
  #timer = 0;

  /**
   * @param {Model} model
   * @param {() => void} onchange called when a person has changed the address
   */
  constructor(model, onchange) {
    this.#model = model;
    addEventListener("hashchange", onchange);
    model.subscribe((changed) => {
      if (!["session", "point", "lost"].some((part) => changed.has(/** @type {any} */ (part)))) return;
      // Browsers allow only some changes a second.
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#update(), QUIET_MS);
    });
  }

  /** The name of the state that it asks for, if it does. */
  get state() {
    return new URLSearchParams(location.hash.slice(1)).get("at");
  }

  #update() {
    const { session } = this.#model;
    if (!session) return;
    const { state } = session;
    // The log of a guest is there only once; and nobody can hand on an address of any length.
    const hash = session.isLive || state.length > MAX_LENGTH ? "" : `#at=${state}`;
    if (location.hash !== hash) history.replaceState(null, "", hash || location.pathname + location.search);
  }
}

/** How long nothing has changed before the address does. */
const QUIET_MS = 200;
const MAX_LENGTH = 2000;
