/** What the page shows. Views subscribe, and learn once a frame what has changed. */

import { Filter } from "./filter.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {"session" | "entries" | "point" | "lost" | "sector" | "filter" | "base"} Part */
/** @typedef {(changed: Set<Part>) => void} Listener */

export class Model {
  /** @type {Session | null} */
  session = null;
  /** Every log that was opened. @type {Session[]} */
  sessions = [];
  filter = new Filter();
  /** Whether the sector shown is the one that was written last before the point. */
  followsWrites = true;

  /** @type {Listener[]} */
  #listeners = [];
  /** @type {Set<Part>} */
  #changed = new Set();

  /** @param {Listener} listener */
  subscribe(listener) {
    this.#listeners.push(listener);
  }

  /** @param {Session} session */
  open(session) {
    this.sessions = [...this.sessions, session];
    this.show(session);
  }

  /** @param {Session} session */
  show(session) {
    this.session = session;
    this.filter = new Filter();
    if (session.isLive) this.#watch(session);
    this.#touch("session", "entries", "lost", "sector", "filter", "base");
    this.goTo(session.point);
  }

  /** @param {number} point */
  goTo(point) {
    const { session } = this;
    if (!session) return;
    const { columns, log, lost } = session;
    session.point = Math.min(Math.max(Math.round(point), 0), columns.length);
    const kept = new Set(log.volatileAmong(session.point, lost));
    if (kept.size !== lost.size) {
      session.lost = kept;
      this.#touch("lost");
    }
    const write = columns.lastChange(session.point);
    if (this.followsWrites && write >= 0) this.#showSector(columns.sector[write]);
    this.#touch("point");
  }

  /**
   * Goes to a state by its name, if a crash can leave it.
   *
   * @param {string} state
   */
  goToState(state) {
    const { session } = this;
    if (!session) return;
    const { point, lost } = session.log.stateOf(state);
    this.goTo(point);
    session.lost = new Set(lost);
    this.#touch("lost");
  }

  /** @param {number} sector */
  goToSector(sector) {
    if (!this.session || !Number.isFinite(sector)) return;
    this.#showSector(sector);
  }

  /**
   * Lets the disk lose an entry of the unflushed epoch, or not.
   *
   * @param {number} entry
   */
  toggleLost(entry) {
    const { session } = this;
    if (!session || entry < 0 || session.log.volatileAmong(session.point, [entry]).length === 0) return;
    if (!session.lost.delete(entry)) session.lost.add(entry);
    this.#touch("lost");
  }

  /** Lets the disk lose what chance says, of what it may lose. */
  loseByChance() {
    const { session } = this;
    if (!session) return;
    session.lost = new Set(session.log.volatile(session.point).filter(() => Math.random() < 0.5));
    this.#touch("lost");
  }

  /** Lets the disk lose nothing. */
  keepAll() {
    this.session?.lost.clear();
    this.#touch("lost");
  }

  /** @param {Partial<import("./filter.js").Conditions>} conditions */
  setFilter(conditions) {
    this.filter = new Filter({ ...this.filter.conditions, ...conditions });
    this.#touch("filter");
  }

  /**
   * @param {import("../logwrites.js").SourceLike} base
   * @param {string} name
   */
  setBase(base, name) {
    if (!this.session) return;
    this.session.base = base;
    this.session.baseName = name;
    this.#touch("base", "sector");
  }

  /** @param {number} sector */
  #showSector(sector) {
    const session = /** @type {Session} */ (this.session);
    session.sector = Math.min(Math.max(Math.floor(sector), 0), Math.max(session.nrSectors - 1, 0));
    this.#touch("sector");
  }

  /**
   * Looks at a log once a frame for as long as it is shown.
   *
   * @param {Session} session
   */
  #watch(session) {
    const look = () => {
      if (this.session !== session) return;
      const { point } = session;
      if (session.follow()) this.#touch("entries");
      if (session.point !== point) this.goTo(session.point);
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  /** @param {Part[]} parts */
  #touch(...parts) {
    if (this.#changed.size === 0) requestAnimationFrame(() => this.#tell());
    for (const part of parts) this.#changed.add(part);
  }

  #tell() {
    const changed = this.#changed;
    this.#changed = new Set();
    for (const listener of this.#listeners) listener(changed);
  }
}
