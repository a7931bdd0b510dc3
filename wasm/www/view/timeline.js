/** The timeline: all entries as a picture, to go through by mouse, finger and keys. */

import { KINDS, MARK } from "../model/columns.js";
import { count, extent, size } from "./format.js";
import { Scale } from "./scale.js";
import { FLUSHES_PX, MARKS_PX, TimelinePainter } from "./timeline-paint.js";

/** @typedef {import("../model/model.js").Model} Model */
/** @typedef {import("../model/session.js").Session} Session */

export class Timeline {
  #model;
  #canvas;
  #tip;
  #painter;
  #scale = new Scale();
  #isStale = true;
  #isDue = false;
  /** Where the fingers are, or the mouse while its button is down. @type {Map<number, { x: number, y: number }>} */
  #pointers = new Map();
  #hasMoved = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} tip
   * @param {Model} model
   */
  constructor(canvas, tip, model) {
    this.#model = model;
    this.#canvas = canvas;
    this.#tip = tip;
    this.#painter = new TimelinePainter(canvas);
    this.#painter.readColours();
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => (tip.hidden = true));
    new ResizeObserver(() => this.#repaint(true)).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#painter.readColours();
      this.#repaint(true);
    });
    model.subscribe((changed) => this.#update(changed));
  }

  /** Shows all of it. */
  fit() {
    this.#scale.fit();
    this.#repaint(true);
  }

  /**
   * @param {number} factor of how many entries are shown
   */
  zoom(factor) {
    const at = (this.#point - this.#scale.x0) / (this.#scale.x1 - this.#scale.x0);
    this.#scale.zoom(factor, at >= 0 && at <= 1 ? at : 0.5);
    this.#repaint(true);
  }

  get #point() {
    return this.#model.session?.point ?? 0;
  }

  /** @param {Set<import("../model/model.js").Part>} changed */
  #update(changed) {
    const { session } = this.#model;
    if (!session) return;
    if (changed.has("entries") || changed.has("base")) {
      this.#scale.grow(session.columns.length, session.nrSectors);
      if (changed.has("session")) this.#scale.fit();
      this.#isStale = true;
      this.#canvas.ariaValueMax = `${session.columns.length}`;
    }
    if (changed.has("point")) {
      const { x0 } = this.#scale;
      this.#scale.reveal(session.point);
      if (x0 !== this.#scale.x0) this.#isStale = true;
      this.#canvas.ariaValueNow = `${session.point}`;
      this.#canvas.ariaValueText = `point ${count(session.point)} of ${count(session.columns.length)}`;
    }
    if (["entries", "base", "point", "lost"].some((part) => changed.has(/** @type {any} */ (part)))) this.#repaint(false);
  }

  /** @param {boolean} isStale whether the entries are to be painted, too */
  #repaint(isStale) {
    this.#isStale ||= isStale;
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      const { session } = this.#model;
      if (!session || this.#canvas.clientWidth === 0) return;
      if (this.#isStale) this.#painter.paintEntries(session, this.#scale);
      this.#isStale = false;
      this.#painter.paint(session, this.#scale);
    });
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#at(event.offsetX, event.offsetY);
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 32 : 1;
    const [deltaX, deltaY] = [event.deltaX * pixels, event.deltaY * pixels];
    if (event.altKey) this.#scale.zoomDisk(Math.exp(deltaY / 400), y);
    else if (event.shiftKey || Math.abs(deltaX) > Math.abs(deltaY)) this.#scale.pan((deltaX || deltaY) / this.#canvas.clientWidth, 0);
    else this.#scale.zoom(Math.exp(deltaY / 400), x);
    this.#repaint(true);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { session } = this.#model;
    if (!session || event.ctrlKey || event.metaKey) return;
    const { columns, point } = session;
    const goTo = (/** @type {number} */ point) => this.#model.goTo(point);
    const pan = (/** @type {number} */ x, /** @type {number} */ y) => this.#scale.pan(x, y);
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowLeft: () => (event.shiftKey ? pan(-0.2, 0) : goTo(point - 1)),
      ArrowRight: () => (event.shiftKey ? pan(0.2, 0) : goTo(point + 1)),
      ArrowUp: () => (event.shiftKey ? pan(0, -0.2) : goTo(point + 1)),
      ArrowDown: () => (event.shiftKey ? pan(0, 0.2) : goTo(point - 1)),
      PageUp: () => goTo(session.flushBefore),
      PageDown: () => goTo(session.flushAfter),
      Home: () => goTo(0),
      End: () => goTo(columns.length),
      "+": () => (event.altKey ? this.#scale.zoomDisk(0.5, 0.5) : this.zoom(0.5)),
      "-": () => (event.altKey ? this.#scale.zoomDisk(2, 0.5) : this.zoom(2)),
      0: () => this.fit(),
    };
    const action = actions[event.key === "=" ? "+" : event.key];
    if (!action) return;
    event.preventDefault();
    action();
    this.#repaint(true);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.#pointers.size === 1) this.#hasMoved = false;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#canvas.focus();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) {
      this.#showTip(event.offsetX, event.offsetY);
      return;
    }
    const now = { x: event.offsetX, y: event.offsetY };
    if (!this.#hasMoved && Math.hypot(now.x - before.x, now.y - before.y) < DRAG_PX) return;
    this.#hasMoved = true;
    this.#tip.hidden = true;
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    if (others.length > 0) this.#pinch(before, now, others[0][1]);
    else this.#scale.pan((before.x - now.x) / this.#canvas.clientWidth, (before.y - now.y) / this.#pictureHeight);
    this.#pointers.set(event.pointerId, now);
    this.#repaint(true);
  }

  /**
   * @param {{ x: number, y: number }} before
   * @param {{ x: number, y: number }} now
   * @param {{ x: number, y: number }} other
   */
  #pinch(before, now, other) {
    const factor = Math.max(Math.abs(before.x - other.x), 1) / Math.max(Math.abs(now.x - other.x), 1);
    this.#scale.zoom(factor, this.#at(other.x, 0).x);
  }

  /** @param {PointerEvent} event */
  #release(event) {
    const wasPressed = this.#pointers.delete(event.pointerId);
    if (!wasPressed || this.#hasMoved || !this.#model.session) return;
    const entry = this.#entryAt(event.offsetX, event.offsetY);
    if (entry >= 0) this.#model.goTo(entry + 1);
    else this.#model.goTo(this.#xToEntry(event.offsetX));
  }

  get #pictureHeight() {
    return Math.max(this.#canvas.clientHeight - MARKS_PX - FLUSHES_PX, 1);
  }

  /**
   * A place of the canvas, from 0 to 1 in the picture.
   *
   * @param {number} offsetX
   * @param {number} offsetY
   */
  #at(offsetX, offsetY) {
    return { x: offsetX / this.#canvas.clientWidth, y: (offsetY - MARKS_PX) / this.#pictureHeight };
  }

  /** @param {number} offsetX */
  #xToEntry(offsetX) {
    return this.#scale.x0 + (offsetX / this.#canvas.clientWidth) * (this.#scale.x1 - this.#scale.x0);
  }

  /**
   * The number of the entry that is nearest to a place, among those of its column of pixels; -1 if there is none.
   *
   * @param {number} offsetX
   * @param {number} offsetY
   */
  #entryAt(offsetX, offsetY) {
    const { columns } = /** @type {Session} */ (this.#model.session);
    const from = Math.max(Math.floor(this.#xToEntry(offsetX - 1)), 0);
    const to = Math.min(Math.max(Math.ceil(this.#xToEntry(offsetX + 1)), from + 1), columns.length);
    const sector = this.#scale.y0 + this.#at(0, offsetY).y * (this.#scale.y1 - this.#scale.y0);
    const here = Math.floor(this.#xToEntry(offsetX));
    let [nearest, least] = [-1, Infinity];
    for (let entry = from; entry < to; entry += 1) {
      const far = columns.changesDisk(entry)
        ? Math.max(columns.sector[entry] - sector, sector - columns.sector[entry] - columns.nrSectors[entry], 0)
        : columns.kind[entry] === MARK && offsetY < MARKS_PX ? 0 : Number.MAX_VALUE;
      if (far < least || (far === least && entry === here)) [nearest, least] = [entry, far];
    }
    return nearest;
  }

  /**
   * @param {number} offsetX
   * @param {number} offsetY
   */
  #showTip(offsetX, offsetY) {
    const { session } = this.#model;
    const entry = session ? this.#entryAt(offsetX, offsetY) : -1;
    this.#tip.hidden = entry < 0;
    if (!session || entry < 0) return;
    this.#tip.textContent = describe(session, entry);
    const isRight = offsetX > this.#canvas.clientWidth / 2;
    this.#tip.style.translate = `${isRight ? `calc(${offsetX - 12}px - 100%)` : `${offsetX + 12}px`} ${Math.max(offsetY - 12, 0)}px`;
  }
}

/**
 * @param {Session} session
 * @param {number} entry
 */
function describe({ columns, markNames, log }, entry) {
  const kind = columns.kind[entry];
  const what = `#${count(entry)}  ${KINDS[kind]}`;
  if (kind === MARK) return `${what}  ${markNames.get(entry) ?? ""}`;
  if (!columns.changesDisk(entry)) return what;
  const nrSectors = columns.nrSectors[entry];
  return `${what}  ${extent(columns.sector[entry], nrSectors)}  ${size(nrSectors * log.sectorSize)}`;
}

const DRAG_PX = 4;
