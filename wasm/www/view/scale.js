/** Which part of a log and of its disk the timeline shows: x in entries, y in sectors. */

export class Scale {
  /** How much there is. */
  nrEntries = 0;
  nrSectors = 0;
  /** What is shown. */
  x0 = 0;
  x1 = 1;
  y0 = 0;
  y1 = 1;

  /** Whether all entries are shown, so that new ones should be, too. */
  get isWhole() {
    return this.x0 === 0 && this.x1 >= this.nrEntries;
  }

  fit() {
    [this.x0, this.x1] = [0, Math.max(this.nrEntries, MIN_ENTRIES)];
    [this.y0, this.y1] = [0, Math.max(this.nrSectors, 1)];
  }

  /**
   * @param {number} nrEntries
   * @param {number} nrSectors
   */
  grow(nrEntries, nrSectors) {
    const { isWhole } = this;
    const isWholeDisk = this.y0 === 0 && this.y1 >= this.nrSectors;
    [this.nrEntries, this.nrSectors] = [nrEntries, nrSectors];
    if (isWhole) this.x1 = Math.max(nrEntries, MIN_ENTRIES);
    if (isWholeDisk) this.y1 = Math.max(nrSectors, 1);
    this.zoom(1, 0.5);
  }

  /**
   * Shows `factor` times as many entries, with the one at `at` (0 is left, 1 is right) where it is.
   *
   * @param {number} factor
   * @param {number} at
   */
  zoom(factor, at) {
    [this.x0, this.x1] = zoomed(this.x0, this.x1, factor, at, Math.max(this.nrEntries, MIN_ENTRIES), MIN_ENTRIES);
  }

  /**
   * The same for the disk.
   *
   * @param {number} factor
   * @param {number} at
   */
  zoomDisk(factor, at) {
    [this.y0, this.y1] = zoomed(this.y0, this.y1, factor, at, Math.max(this.nrSectors, 1), Math.min(MIN_SECTORS, this.nrSectors));
  }

  /**
   * Moves by a multiple of the width and height of what is shown.
   *
   * @param {number} x
   * @param {number} y
   */
  pan(x, y) {
    [this.x0, this.x1] = panned(this.x0, this.x1, x, Math.max(this.nrEntries, MIN_ENTRIES));
    [this.y0, this.y1] = panned(this.y0, this.y1, y, Math.max(this.nrSectors, 1));
  }

  /**
   * Moves as little as it takes to show a point.
   *
   * @param {number} point
   */
  reveal(point) {
    const width = this.x1 - this.x0;
    if (point < this.x0) this.pan((point - this.x0) / width - 0.1, 0);
    else if (point > this.x1) this.pan((point - this.x1) / width + 0.1, 0);
  }
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} factor
 * @param {number} at
 * @param {number} limit
 * @param {number} least
 * @returns {[number, number]}
 */
function zoomed(from, to, factor, at, limit, least) {
  const length = Math.min(Math.max((to - from) * factor, least), limit);
  const start = from + (to - from - length) * at;
  return clamped(start, length, limit);
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} by
 * @param {number} limit
 * @returns {[number, number]}
 */
function panned(from, to, by, limit) {
  return clamped(from + (to - from) * by, to - from, limit);
}

/**
 * @param {number} start
 * @param {number} length
 * @param {number} limit
 * @returns {[number, number]}
 */
function clamped(start, length, limit) {
  const from = Math.max(Math.min(start, limit - length), 0);
  return [from, from + length];
}

/** A log with fewer entries does not fill the picture. */
const MIN_ENTRIES = 16;
const MIN_SECTORS = 16;
