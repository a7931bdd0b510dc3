/** The visible entries as pixels: how many of each kind each pixel represents. One pass over a million takes some 10 ms. */

import { DISCARD, FLUSH_KIND, FUA, MARK, WRITE } from "../model/columns.js";

/** @typedef {import("../model/columns.js").Columns} Columns */
/** @typedef {import("./scale.js").Scale} Scale */

/** What is painted, from the bottom to the top. */
export const LAYERS = [DISCARD, WRITE, FUA];

export class Raster {
  width = 0;
  height = 0;
  /** For each column whether there is a flush in it. */
  flushes = new Uint8Array(0);
  /** How far each count is from that of the pixel above, per layer, column by column, with one row more. */
  #steps = LAYERS.map(() => new Int32Array(0));

  /**
   * @param {Columns} columns
   * @param {Scale} scale
   * @param {number} width in pixels
   * @param {number} height in pixels
   * @param {number} leastHeight of an entry, in pixels
   */
  fill(columns, scale, width, height, leastHeight) {
    this.#clear(width, height);
    const [xScale, yScale] = [width / (scale.x1 - scale.x0), height / (scale.y1 - scale.y0)];
    const gap = xScale >= 4 ? 1 : 0;
    const stride = height + 1;
    const last = Math.min(Math.ceil(scale.x1), columns.length);
    for (let entry = Math.floor(scale.x0); entry < last; entry += 1) {
      const kind = columns.kind[entry];
      const from = Math.max(Math.floor((entry - scale.x0) * xScale), 0);
      const to = Math.min(Math.max(Math.floor((entry + 1 - scale.x0) * xScale) - gap, from + 1), width);
      if (kind === FLUSH_KIND || columns.isFlush(entry)) this.flushes[Math.min(from, width - 1)] = 1;
      if (kind === FLUSH_KIND || kind === MARK) continue;
      const start = (columns.sector[entry] - scale.y0) * yScale;
      const end = start + columns.nrSectors[entry] * yScale;
      if (end < 0 || start >= height) continue;
      const top = Math.max(Math.floor(start), 0);
      const bottom = Math.min(Math.max(Math.ceil(end), top + leastHeight), height);
      const steps = this.#steps[kind === WRITE ? 1 : kind === FUA ? 2 : 0];
      for (let x = from; x < to; x += 1) {
        steps[x * stride + top] += 1;
        steps[x * stride + bottom] -= 1;
      }
    }
  }

  /**
   * Paints it, each layer in its colour; the more entries there are in a pixel, the stronger.
   *
   * @param {ImageData} image of the same size, which is empty
   * @param {[red: number, green: number, blue: number][]} colours of the layers
   */
  paint(image, colours) {
    const { width, height } = this;
    const pixels = new Uint32Array(image.data.buffer);
    const inks = colours.map(([red, green, blue]) => (blue << 16) | (green << 8) | red);
    for (const [layer, steps] of this.#steps.entries()) {
      const ink = inks[layer];
      for (let x = 0, at = 0; x < width; x += 1, at += 1) {
        let nr = 0;
        for (let y = 0; y < height; y += 1, at += 1) {
          nr += steps[at];
          if (nr > 0) pixels[y * width + x] = ink | (ALPHAS[nr < ALPHAS.length ? nr : ALPHAS.length - 1] << 24);
        }
      }
    }
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #clear(width, height) {
    const length = width * (height + 1);
    if (this.#steps[0].length === length) for (const steps of this.#steps) steps.fill(0);
    else this.#steps = LAYERS.map(() => new Int32Array(length));
    [this.width, this.height] = [width, height];
    this.flushes = new Uint8Array(width);
  }
}

/** How opaque a pixel is that represents N entries. */
const ALPHAS = Uint8Array.from({ length: 64 }, (_, nr) => (nr === 0 ? 0 : Math.min(255, 190 + 12 * Math.log2(nr))));
