/** One machine on the page: its screen, what it says on the serial line, and the bank's verdict. */

import { element } from "../view/dom.js";
import { Machine } from "./machine.js";
import { verdictOf } from "./verdict.js";

/**
 * What to show and start.
 *
 * @typedef {object} Show
 * @property {string} title
 * @property {import("./machine.js").Start["base"]} base
 * @property {number} memoryMiB
 * @property {boolean} hasKeyboard whether the guest reads a keyboard
 */

export class MachineView {
  /** The element to put on the page. Hidden until a machine is started. @type {HTMLElement} */
  element;
  /** @type {Machine | null} */
  #machine = null;
  #isStarting = false;
  /** So that a start that was overtaken by another one ends itself. */
  #nrStarts = 0;
  #printed = "";
  #hasKeyboard = false;
  /** @type {string | null} */
  #failure = null;
  #onchange;
  #title = element("h3");
  #state = element("span", { class: "guest-state", role: "status" });
  #size = element("span", { class: "muted" });
  #verdict = element("p", { class: "guest-verdict", role: "status" });
  #screen = element("div", { class: "guest-screen", role: "group", "aria-label": "Screen" });
  #hint = element("p", { class: "muted guest-hint" }, "Click the screen, or go there with Tab, to type to the guest. Shift+Esc gives the keyboard back.");
  #serial = element("pre", { class: "guest-serial", tabindex: "0", role: "log", "aria-label": "Serial line", "aria-live": "off" });

  /**
   * @param {string} name of what it shows
   * @param {() => void} onchange called when its state has changed
   * @param {HTMLElement[]} actions buttons to put into its head
   */
  constructor(name, onchange, actions) {
    this.#onchange = onchange;
    this.element = element(
      "section",
      { class: "card guest-machine", "aria-label": name, hidden: true },
      element("div", { class: "bar" }, this.#title, this.#state, element("span", { class: "space" }), element("span", { class: "guest-actions" }, ...actions)),
      this.#verdict,
      this.#screen,
      this.#hint,
      this.#serial,
      this.#size,
    );
    this.#listenToKeyboard();
    setInterval(() => this.#showSize(), SIZE_MS);
  }

  get disk() {
    return this.#machine?.disk ?? null;
  }

  get isThere() {
    return this.#machine !== null || this.#isStarting;
  }

  get isRunning() {
    return this.#machine?.isRunning ?? false;
  }

  /** Whether nothing more will come into the log. */
  get hasFailed() {
    return this.#failure !== null;
  }

  /**
   * Starts a machine in place of the one there.
   *
   * @param {Show} show
   * @returns {Promise<Machine | null>} null if another start or a stop came meanwhile
   */
  async start({ title, base, memoryMiB, hasKeyboard }) {
    const nth = (this.#nrStarts += 1);
    this.#isStarting = true;
    await this.#end();
    this.#title.textContent = title;
    this.#printed = "";
    this.#failure = null;
    this.#hasKeyboard = hasKeyboard;
    this.#screen.replaceChildren(element("canvas"), element("div"));
    this.#screen.tabIndex = hasKeyboard ? 0 : -1;
    this.#hint.hidden = !hasKeyboard;
    this.element.hidden = false;
    this.#show();
    try {
      const machine = await Machine.start({
        base,
        memoryMiB,
        screen: this.#screen,
        onserial: (text) => nth === this.#nrStarts && this.#print(text),
        onfailure: (error) => nth === this.#nrStarts && this.#fail(error),
      });
      if (nth !== this.#nrStarts) {
        await machine.stop();
        return null;
      }
      this.#machine = machine;
      return machine;
    } catch (error) {
      if (nth === this.#nrStarts) this.#fail(error);
      throw error;
    } finally {
      if (nth === this.#nrStarts) this.#isStarting = false;
      this.#show();
    }
  }

  async pause() {
    await this.#machine?.pause();
    this.#show();
  }

  async resume() {
    await this.#machine?.resume();
    this.#show();
  }

  /** Ends the machine; what it has shown stays. */
  async stop() {
    this.#nrStarts += 1;
    this.#isStarting = false;
    await this.#end();
    this.#show();
  }

  async #end() {
    const machine = this.#machine;
    this.#showSize();
    this.#machine = null;
    await machine?.stop();
  }

  /** @param {string} text */
  #print(text) {
    this.#printed = (this.#printed + text).slice(-MAX_PRINTED);
    const isAtEnd = this.#serial.scrollHeight - this.#serial.scrollTop - this.#serial.clientHeight < 24;
    this.#serial.textContent = this.#printed.replaceAll("\r", "");
    if (isAtEnd) this.#serial.scrollTop = this.#serial.scrollHeight;
    this.#showVerdict();
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#failure = error instanceof Error ? error.message : String(error);
    this.#show();
  }

  #show() {
    this.#state.textContent = this.#stateName();
    this.#state.dataset.state = this.#failure ? "failed" : this.#stateName();
    if (this.#printed === "") this.#serial.textContent = "";
    this.#showVerdict();
    this.#showSize();
    this.#onchange();
  }

  #stateName() {
    if (this.#failure) return this.#failure;
    if (this.#isStarting) return "starting";
    if (!this.#machine) return "stopped";
    return this.#machine.isRunning ? "running" : "paused";
  }

  #showVerdict() {
    // Only the beginning of what was printed can have it, so it stays when that is cut off.
    const verdict = verdictOf(this.#printed);
    if (!verdict && this.#printed !== "") return;
    this.#verdict.hidden = !verdict;
    this.#verdict.dataset.verdict = verdict?.addsUp ? "good" : "bad";
    const text = verdict ? `${verdict.addsUp ? "✓" : "✗"} ${verdict.balance}: ${verdict.text}` : "";
    if (this.#verdict.dataset.text === text) return; // not to be read out again
    this.#verdict.dataset.text = text;
    this.#verdict.replaceChildren(element("strong", {}, text), element("span", {}, verdict?.journal ? `journal: ${verdict.journal}` : ""));
  }

  #showSize() {
    const log = this.#machine?.disk.log;
    if (!log) return;
    this.#size.textContent = `${log.nrEntries.toLocaleString("en")} entries in its log, ${Math.ceil(log.byteLength / 1024).toLocaleString("en")} KiB`;
  }

  /** The guest has the keyboard while its screen has the focus; otherwise the page has it. */
  #listenToKeyboard() {
    this.#screen.addEventListener("focus", () => this.#machine?.takeKeyboard(this.#hasKeyboard));
    this.#screen.addEventListener("blur", () => this.#machine?.takeKeyboard(false));
    this.#screen.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !event.shiftKey) return;
      event.stopPropagation();
      this.#serial.focus();
    });
  }
}

/** Characters of the serial line that are kept. */
const MAX_PRINTED = 1 << 16;
const SIZE_MS = 250;
