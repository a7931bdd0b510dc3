/**
 * Running a guest beside the viewer: the bundled bank, or a disk image that the person brings, with every write in a log;
 * and booting another one from a crash of it.
 */

import { init } from "../logwrites.js";
import { element } from "../view/dom.js";
import { BANK_SOURCE, bankImage, LICENCES } from "./assets.js";
import { MachineView } from "./machine-view.js";

/** @typedef {import("../logwrites.js").Disk} Disk */
/** @typedef {import("../logwrites.js").LogWriter} LogWriter */
/** @typedef {import("../logwrites.js").LoggedDisk} LoggedDisk */

/**
 * What the panel can do for the page.
 *
 * @typedef {object} Guest
 * @property {(disk: Disk, label: string) => Promise<void>} boot boots a second guest from this disk, in place of the one
 *   booted so before; the first one is paused meanwhile
 * @property {() => Promise<void>} stop ends both
 */

/**
 * Puts the panel into an element.
 *
 * @param {HTMLElement} place
 * @param {{ onLog: (log: LogWriter, disk: LoggedDisk) => void }} options `onLog` is called with each new log, as soon as
 *   the guest that writes it runs; with that of a guest booted from a crash when the person asks for it
 * @returns {Guest}
 */
export function mountGuest(place, { onLog }) {
  addStyle();
  const panel = new Panel(onLog);
  place.append(panel.element);
  return { boot: (disk, label) => panel.boot(disk, label), stop: () => panel.stop() };
}

/** The bank needs less than 1 MiB; this is the least that the BIOS likes. */
const BANK_MIB = 16;
const ABOUT_BANK = "Eight accounts and a journal on a disk. It counts its money at each boot: run it, crash it, and let it lose a write.";
const MEMORY_MIB = [16, 64, 128, 256, 512];

class Panel {
  #onLog;
  /** @type {File | null} */
  #file = null;
  /** What the crash is of, so that it gets the same memory and keyboard. */
  #machineOptions = { memoryMiB: BANK_MIB, hasKeyboard: false };

  #isBank = radio("the bank", true);
  #isImage = radio("a disk image", false);
  #flushes = element("input", { type: "checkbox", role: "switch", checked: true });
  #input = element("input", { type: "file", "aria-label": "Choose a disk image" });
  #fileName = element("span", { class: "muted guest-file" }, "none chosen");
  #memory = element("select", {}, ...MEMORY_MIB.map((mib) => element("option", { value: mib, selected: mib === 128 }, `${mib} MiB`)));
  #start = button("Start", () => this.start(), "primary");
  #pause = button("Pause", () => (this.#run.isRunning ? this.#run.pause() : this.#run.resume()));
  #stop = button("Stop", () => this.#run.stop());
  #markName = element("input", { type: "text", class: "guest-mark", placeholder: "name of a mark", "aria-label": "Name of the mark", maxlength: "400" });
  #mark = element("button", { type: "submit" }, "Mark");
  #error = element("p", { class: "guest-error", role: "alert", hidden: true });
  #showLog = button("Show its log", () => this.#crashed.disk && this.#onLog(this.#crashed.disk.log, this.#crashed.disk));
  #close = button("Close", () => this.#closeCrashed());
  #run = new MachineView("Running guest", () => this.#update(), []);
  #crashed = new MachineView("Guest booted from a crash", () => this.#update(), [this.#showLog, this.#close]);
  #bankOptions = element("div", { class: "bar" }, element("label", { class: "check" }, this.#flushes, "flushes"), element("span", { class: "muted" }, ABOUT_BANK));
  #imageOptions = element(
    "div",
    { class: "bar" },
    element("label", { class: "button" }, this.#input, "Choose…"),
    this.#fileName,
    element("label", {}, "memory ", this.#memory),
  );

  /** @param {(log: LogWriter, disk: LoggedDisk) => void} onLog */
  constructor(onLog) {
    this.#onLog = onLog;
    const disk = element("fieldset", { class: "bar" }, element("legend", { class: "hidden-text" }, "What to run"), this.#isBank, this.#isImage);
    const marks = element("form", { class: "bar guest-marks" }, this.#markName, this.#mark);
    const setup = element(
      "section",
      { class: "card guest-setup", "aria-label": "Guest" },
      element("div", { class: "bar" }, element("h2", {}, "Guest"), disk),
      this.#bankOptions,
      this.#imageOptions,
      element("div", { class: "bar" }, this.#start, this.#pause, this.#stop, marks),
      this.#error,
    );
    this.element = element("div", { class: "guest-panel" }, setup, this.#crashed.element, this.#run.element, about());

    disk.addEventListener("change", () => this.#update());
    this.#input.addEventListener("change", () => this.#choose(this.#input.files?.[0] ?? null));
    marks.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(() => this.#addMark());
    });
    this.#update();
  }

  /** Starts what is chosen, in place of what runs. */
  start() {
    return this.#attempt(async () => {
      await init();
      const isBank = this.#bankChosen;
      const flushes = this.#flushes.checked;
      if (!isBank && !this.#file) throw new Error("Choose a disk image first.");
      const options = { memoryMiB: isBank ? BANK_MIB : Number(this.#memory.value), hasKeyboard: !isBank };
      const base = isBank ? await bankImage(flushes) : /** @type {File} */ (this.#file);
      const title = isBank ? `The bank, ${flushes ? "with" : "without"} flushes` : /** @type {File} */ (this.#file).name;
      const machine = await this.#run.start({ title, base, ...options });
      if (!machine) return;
      this.#machineOptions = options;
      this.#onLog(machine.disk.log, machine.disk);
    });
  }

  /**
   * @param {Disk} disk
   * @param {string} label
   */
  boot(disk, label) {
    return this.#attempt(async () => {
      if (this.#run.isRunning) await this.#run.pause();
      await this.#crashed.start({ title: `From the crash: ${label}`, base: disk, ...this.#machineOptions });
      this.#crashed.element.scrollIntoView({ block: "nearest", behavior: "smooth" });
    });
  }

  async stop() {
    await Promise.all([this.#run.stop(), this.#crashed.stop()]);
  }

  async #closeCrashed() {
    await this.#crashed.stop();
    this.#crashed.element.hidden = true;
    this.#start.focus();
  }

  #addMark() {
    const name = this.#markName.value.trim();
    if (name === "") throw new Error("Give the mark a name first.");
    this.#run.disk?.mark(name);
    this.#markName.value = "";
  }

  /** @param {File | null} file */
  #choose(file) {
    this.#file = file ?? this.#file;
    this.#fileName.textContent = this.#file?.name ?? "none chosen";
    this.#update();
  }

  get #bankChosen() {
    return inputOf(this.#isBank).checked;
  }

  #update() {
    this.#bankOptions.hidden = !this.#bankChosen;
    this.#imageOptions.hidden = this.#bankChosen;
    const { isThere, isRunning, disk, hasFailed } = this.#run;
    this.#start.textContent = isThere ? "Restart" : "Start";
    this.#pause.textContent = disk && !isRunning ? "Resume" : "Pause";
    this.#pause.disabled = !disk || hasFailed;
    this.#stop.disabled = !isThere;
    this.#mark.disabled = !disk || hasFailed;
    this.#showLog.disabled = !this.#crashed.disk;
  }

  /**
   * Does something, and shows the error if it fails.
   *
   * @param {() => unknown} act
   */
  async #attempt(act) {
    this.#error.hidden = true;
    try {
      await act();
    } catch (error) {
      this.#error.textContent = error instanceof Error ? error.message : String(error);
      this.#error.hidden = false;
    }
  }
}

/**
 * @param {string} text
 * @param {() => unknown} act
 * @param {string} kind
 */
function button(text, act, kind = "") {
  return element("button", { type: "button", class: kind, click: act }, text);
}

/**
 * @param {string} text
 * @param {boolean} checked
 */
function radio(text, checked) {
  return element("label", { class: "check" }, element("input", { type: "radio", name: "guest-disk", checked }), text);
}

/** @param {HTMLElement} label */
function inputOf(label) {
  return /** @type {HTMLInputElement} */ (label.querySelector("input"));
}

/** Where the sources and licences are of what runs here. */
function about() {
  const licences = LICENCES.flatMap(({ name, href }, i) => [i > 0 ? ", " : "", link(href, name)]);
  return element("p", { class: "muted guest-about" }, link(BANK_SOURCE, "The bank's source"), ". The emulator and its BIOS, and their licences: ", ...licences, ".");
}

/**
 * @param {string} href
 * @param {string} text
 */
function link(href, text) {
  return element("a", { href, target: "_blank", rel: "noopener" }, text);
}

/** The style is beside this file, so that the page needs to know only this one. */
function addStyle() {
  const href = new URL("panel.css", import.meta.url).href;
  if (![...document.styleSheets].some((sheet) => sheet.href === href)) document.head.append(element("link", { rel: "stylesheet", href }));
}
