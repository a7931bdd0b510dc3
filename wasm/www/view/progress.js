/** Something that takes a while: how far it is, a way to stop it, and what went wrong. */

import { byId } from "./dom.js";

/** @typedef {(part: number, text: string) => void} Report */

export class Progress {
  #box = byId("progress");
  #text = byId("progress-text");
  #bar = /** @type {HTMLProgressElement} */ (byId("progress-bar"));
  #error = byId("error");
  /** @type {AbortController | null} */
  #running = null;

  constructor() {
    byId("progress-stop").addEventListener("click", () => this.#running?.abort());
    byId("error-close").addEventListener("click", () => (this.#error.hidden = true));
  }

  /**
   * Does something, one thing at a time: what still ran is stopped.
   *
   * @param {string} name
   * @param {(report: Report, signal: AbortSignal) => Promise<unknown>} act
   */
  async run(name, act) {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.#error.hidden = true;
    this.#bar.removeAttribute("value");
    this.#text.textContent = name;
    this.#box.hidden = false;
    try {
      await act((part, text) => {
        running.signal.throwIfAborted();
        this.#bar.value = part;
        this.#text.textContent = `${name}: ${text}`;
      }, running.signal);
    } catch (error) {
      if (!running.signal.aborted) this.#fail(error);
    } finally {
      if (this.#running === running) this.#box.hidden = true;
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    byId("error-text").textContent = error instanceof Error ? error.message : String(error);
    this.#error.hidden = false;
  }
}
