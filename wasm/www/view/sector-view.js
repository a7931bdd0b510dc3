/** A sector of the disk at the point, and what changed in it. */

import { lastWriter, nextWriter, readSector } from "../model/sector.js";
import { byId } from "./dom.js";
import { count, plural, size } from "./format.js";
import { hexdump, nrChanged } from "./hexdump.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class SectorView {
  #model;
  #dump = byId("hexdump");
  #status = byId("sector-status");
  #number = /** @type {HTMLInputElement} */ (byId("sector"));
  #since = /** @type {HTMLSelectElement} */ (byId("since"));
  #follow = /** @type {HTMLInputElement} */ (byId("follow"));
  /** Counts what was asked for, so that what comes late is not shown. */
  #turn = 0;

  /** @param {Model} model */
  constructor(model) {
    this.#model = model;
    this.#number.addEventListener("change", () => this.#goTo(Number(this.#number.value)));
    byId("sector-before").addEventListener("click", () => this.#goTo(this.#sector - 1));
    byId("sector-after").addEventListener("click", () => this.#goTo(this.#sector + 1));
    byId("writer-before").addEventListener("click", () => this.#toWriter(-1));
    byId("writer-after").addEventListener("click", () => this.#toWriter(1));
    this.#since.addEventListener("change", () => this.#show());
    this.#follow.addEventListener("change", () => (model.followsWrites = this.#follow.checked));
    new ResizeObserver(() => this.#show()).observe(this.#dump);
    model.subscribe((changed) => {
      if (["entries", "point", "lost", "sector", "base"].some((part) => changed.has(/** @type {any} */ (part)))) this.#show();
    });
  }

  get #sector() {
    return this.#model.session?.sector ?? 0;
  }

  /** @param {number} sector */
  #goTo(sector) {
    this.#follow.checked = this.#model.followsWrites = false;
    this.#model.goToSector(sector);
    this.#number.value = `${this.#sector}`;
  }

  /**
   * Goes to the point after the previous or the next entry that touches the sector.
   *
   * @param {-1 | 1} direction
   */
  #toWriter(direction) {
    const { session } = this.#model;
    if (!session) return;
    const { sector, point } = session;
    const writer = direction < 0 ? lastWriter(session, sector, point - 1, NONE) : nextWriter(session, sector, point);
    if (writer < 0) return;
    // The entry may have other sectors before this one.
    this.#follow.checked = this.#model.followsWrites = false;
    this.#model.goTo(writer + 1);
  }

  async #show() {
    const { session } = this.#model;
    if (!session) return;
    this.#turn += 1;
    const turn = this.#turn;
    const { sector, point, lost, log } = session;
    try {
      const from = sinceOf(session, this.#since.value);
      const [now, before] = await Promise.all([readSector(session, sector, point, lost), readSector(session, sector, from, NONE)]);
      if (turn !== this.#turn) return;
      const perRow = this.#dump.clientWidth < WIDE_PX ? 8 : 16;
      this.#dump.replaceChildren(...hexdump(now.bytes, before.bytes, sector * log.sectorSize, perRow));
      this.#tell(session, now, nrChanged(now.bytes, before.bytes), from);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#dump.replaceChildren();
      this.#status.textContent = /** @type {Error} */ (error).message;
    }
  }

  /**
   * @param {Session} session
   * @param {{ writer: number }} now
   * @param {number} changed
   * @param {number} from a point
   */
  #tell(session, { writer }, changed, from) {
    const { sector, log, nrSectors, point } = session;
    if (document.activeElement !== this.#number) this.#number.value = `${sector}`;
    this.#number.max = `${Math.max(nrSectors - 1, 0)}`;
    byId("sector-place").textContent = `of ${count(nrSectors)} · byte ${count(sector * log.sectorSize)} (${size(sector * log.sectorSize)})`;
    const origin = writer < 0 ? (session.base ? "from the base image" : "never written: zeros") : `written by entry ${count(writer)}`;
    const change = from === point ? "" : ` · ${changed === 0 ? "no change" : `${plural(changed, "byte")} changed`} since point ${count(from)}`;
    this.#status.textContent = origin + change;
  }
}

/**
 * The point to compare with.
 *
 * @param {Session} session
 * @param {string} what
 */
function sinceOf(session, what) {
  if (what === "mark") return session.markBefore;
  if (what === "flush") return session.flushBefore;
  if (what === "base") return 0;
  return Math.max(session.point - 1, 0);
}

/** @type {Set<number>} */
const NONE = new Set();
/** A row of sixteen bytes fits into so much. */
const WIDE_PX = 540;
