/** Painting the timeline: a lane of marks, the disk, a lane of flushes; and over it the point. */

import { size } from "./format.js";
import { LAYERS, Raster } from "./raster.js";
import { KINDS } from "../model/columns.js";

/** @typedef {import("../model/session.js").Session} Session */
/** @typedef {import("./scale.js").Scale} Scale */

/** The heights of the lanes, in CSS pixels. */
export const MARKS_PX = 20;
export const FLUSHES_PX = 10;
/** Marks that are nearer to each other get no lines through the picture. */
const MARK_ROOM_PX = 40;
/** About a letter's width. */
const LETTER_PX = 6.4;
const MAX_LETTERS = 32;

export class TimelinePainter {
  #canvas;
  #context;
  #raster = new Raster();
  #picture = new OffscreenCanvas(1, 1);
  /** @type {Record<string, string>} */
  #colours = {};

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  }

  /** Reads the colours of the page, which depend on dark and light. */
  readColours() {
    const style = getComputedStyle(this.#canvas);
    for (const name of ["ink", "muted", "line", "surface", "accent", "bad", ...KINDS]) this.#colours[name] = style.getPropertyValue(`--${name}`).trim();
  }

  /**
   * Paints the entries, which is kept until they, the scale or the size change.
   *
   * @param {Session} session
   * @param {Scale} scale
   */
  paintEntries({ columns }, scale) {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = Math.min(devicePixelRatio, 2);
    this.#canvas.width = Math.max(Math.round(clientWidth * ratio), 1);
    this.#canvas.height = Math.max(Math.round(clientHeight * ratio), 1);
    const height = Math.max(Math.round((clientHeight - MARKS_PX - FLUSHES_PX) * ratio), 1);
    const isSparse = this.#canvas.width / (scale.x1 - scale.x0) > 3;
    this.#raster.fill(columns, scale, this.#canvas.width, height, Math.ceil((isSparse ? 3 : 1.5) * ratio));
    const image = new ImageData(this.#canvas.width, height);
    this.#raster.paint(image, LAYERS.map((kind) => rgb(this.#colours[KINDS[kind]])));
    this.#picture.width = image.width;
    this.#picture.height = image.height;
    /** @type {OffscreenCanvasRenderingContext2D} */ (this.#picture.getContext("2d")).putImageData(image, 0, 0);
  }

  /**
   * Puts together what was painted, and what changes more often.
   *
   * @param {Session} session
   * @param {Scale} scale
   */
  paint(session, scale) {
    const { width, height } = this.#canvas;
    const ratio = width / Math.max(this.#canvas.clientWidth, 1);
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#paintFlushes(ratio);
    context.drawImage(this.#picture, 0, MARKS_PX * ratio);
    this.#paintLost(session, scale, ratio);
    context.scale(ratio, ratio);
    this.#paintFuture(session, scale);
    this.#paintLabels(session, scale);
    this.#paintMarks(session, scale);
    this.#paintPoint(session, scale);
  }

  /** @param {number} ratio */
  #paintFlushes(ratio) {
    const { flushes, width, height } = this.#raster;
    const context = this.#context;
    const top = MARKS_PX * ratio;
    context.fillStyle = this.#colours.flush;
    let nr = 0;
    for (let x = 0; x < width; x += 1) nr += flushes[x];
    const hasRoom = nr * 8 * ratio < width;
    for (let x = 0; x < width; x += 1) {
      if (!flushes[x]) continue;
      context.globalAlpha = 1;
      context.fillRect(x, top + height + 2 * ratio, ratio, (FLUSHES_PX - 2) * ratio);
      if (!hasRoom) continue;
      context.globalAlpha = 0.35;
      context.fillRect(x, top, ratio, height);
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {Session} session
   * @param {Scale} scale
   * @param {number} ratio
   */
  #paintLost({ lost, columns }, scale, ratio) {
    const context = this.#context;
    const xScale = this.#raster.width / (scale.x1 - scale.x0);
    const yScale = this.#raster.height / (scale.y1 - scale.y0);
    context.strokeStyle = this.#colours.bad;
    context.fillStyle = this.#colours.surface;
    context.lineWidth = ratio * 1.5;
    for (const entry of lost) {
      const x = (entry - scale.x0) * xScale;
      const y = MARKS_PX * ratio + (columns.sector[entry] - scale.y0) * yScale;
      const [width, height] = [Math.max(xScale - 2, 4 * ratio), Math.max(columns.nrSectors[entry] * yScale, 5 * ratio)];
      context.fillRect(x, y, width, height);
      context.strokeRect(x, y, width, height);
    }
  }

  /**
   * @param {Session} session
   * @param {Scale} scale
   */
  #paintFuture({ point }, scale) {
    const { clientWidth, clientHeight } = this.#canvas;
    const x = Math.max(this.#xOf(point, scale), 0);
    if (x >= clientWidth) return;
    this.#context.globalAlpha = 0.66;
    this.#context.fillStyle = this.#colours.surface;
    this.#context.fillRect(x, MARKS_PX, clientWidth - x, clientHeight - MARKS_PX);
    this.#context.globalAlpha = 1;
  }

  /**
   * @param {Session} session
   * @param {Scale} scale
   */
  #paintLabels({ log }, scale) {
    const context = this.#context;
    context.font = "11px system-ui, sans-serif";
    const bottom = this.#canvas.clientHeight - FLUSHES_PX;
    for (const [sector, y] of [[scale.y0, MARKS_PX + 12], [scale.y1, bottom - 4]]) {
      const text = size(Math.round(sector) * log.sectorSize);
      context.globalAlpha = 0.85;
      context.fillStyle = this.#colours.surface;
      context.fillRect(2, y - 10, context.measureText(text).width + 4, 13);
      context.globalAlpha = 1;
      context.fillStyle = this.#colours.muted;
      context.fillText(text, 4, y);
    }
  }

  /**
   * Flags, with names where there is room.
   *
   * @param {Session} session
   * @param {Scale} scale
   */
  #paintMarks({ marks, point }, scale) {
    const context = this.#context;
    const { clientWidth, clientHeight } = this.#canvas;
    const first = firstFrom(marks, scale.x0);
    const last = firstFrom(marks, scale.x1);
    const hasRoom = (last - first) * MARK_ROOM_PX < clientWidth;
    let lastX = -1;
    for (let nth = first; nth < last; nth += 1) {
      const { entry, name } = marks[nth];
      const x = Math.floor(this.#xOf(entry, scale));
      if (x === lastX) continue;
      lastX = x;
      context.globalAlpha = entry < point ? 1 : 0.5;
      context.fillStyle = this.#colours.mark;
      context.fillRect(x, 3, 1, hasRoom ? clientHeight - 3 - FLUSHES_PX : MARKS_PX - 5);
      context.beginPath();
      context.moveTo(x, 3);
      context.lineTo(x + 8, 7);
      context.lineTo(x, 11);
      context.fill();
      const end = nth + 1 < last ? this.#xOf(marks[nth + 1].entry, scale) : clientWidth;
      context.fillStyle = this.#colours.ink;
      context.fillText(shortened(name, (end - x - 16) / LETTER_PX), x + 11, 12);
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {Session} session
   * @param {Scale} scale
   */
  #paintPoint({ point }, scale) {
    const x = this.#xOf(point, scale);
    const context = this.#context;
    context.fillStyle = this.#colours.accent;
    context.fillRect(Math.min(Math.round(x), this.#canvas.clientWidth - 1) - 1, 0, 2, this.#canvas.clientHeight);
    context.beginPath();
    context.arc(Math.min(Math.max(x, 4), this.#canvas.clientWidth - 4), this.#canvas.clientHeight - 5, 4, 0, 7);
    context.fill();
  }

  /**
   * @param {number} entry
   * @param {Scale} scale
   */
  #xOf(entry, scale) {
    return ((entry - scale.x0) / (scale.x1 - scale.x0)) * this.#canvas.clientWidth;
  }
}

/**
 * @param {{ entry: number }[]} marks
 * @param {number} entry
 */
function firstFrom(marks, entry) {
  let [low, high] = [0, marks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (marks[middle].entry < entry) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * As much of a name as fits; nothing, where that would be next to nothing.
 *
 * @param {string} name
 * @param {number} nrLetters
 */
function shortened(name, nrLetters) {
  const most = Math.min(Math.floor(nrLetters), MAX_LETTERS);
  if (name.length <= most) return name;
  return most < 4 ? "" : `${name.slice(0, most - 1)}…`;
}

/**
 * @param {string} colour as `#rrggbb`
 * @returns {[number, number, number]}
 */
function rgb(colour) {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
