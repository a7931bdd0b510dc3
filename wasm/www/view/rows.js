/** A long list of which only the visible rows exist. */

/**
 * Places rows in a box that scrolls. Where the list is longer than an element may be high, the bar represents more rows, and
 * the wheel is made to move as many as elsewhere.
 */
export class Rows {
  /** How many rows there are. */
  #nrRows = 0;
  #isDrawn = false;
  /** The box's height, that of all rows, and how far it is scrolled, in pixels: to ask the box makes the browser lay out the page. */
  #boxPx = 0;
  #spacePx = 0;
  #scrolledPx = 0;
  #box;
  #space;
  #draw;

  /**
   * @param {HTMLElement} box
   * @param {(first: number, last: number, top: number) => void} draw puts rows `first` up to, not including, `last` where `top` says
   */
  constructor(box, draw) {
    this.#box = box;
    this.#draw = draw;
    this.#space = document.createElement("div");
    this.#space.className = "rows-space";
    this.#space.setAttribute("role", "presentation");
    box.append(this.#space);
    box.addEventListener("scroll", () => {
      this.#scrolledPx = box.scrollTop;
      this.redraw();
    });
    box.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => {
      this.#boxPx = box.clientHeight;
      this.redraw();
    }).observe(box);
  }

  get nrRows() {
    return this.#nrRows;
  }

  set nrRows(nrRows) {
    this.#nrRows = nrRows;
    this.#spacePx = Math.min(nrRows * ROW_PX, MAX_PX);
    this.#space.style.height = `${this.#spacePx}px`;
    this.#boxPx = this.#box.clientHeight;
    this.#scrolledPx = this.#box.scrollTop;
    this.redraw();
  }

  /** How many whole rows are visible. */
  get pageRows() {
    return Math.max(Math.floor(this.#boxPx / ROW_PX), 1);
  }

  /** Draws the visible rows, before the next frame. */
  redraw() {
    if (this.#isDrawn) return;
    this.#isDrawn = true;
    requestAnimationFrame(() => {
      this.#isDrawn = false;
      const at = this.#at();
      const first = Math.floor(at);
      const last = Math.min(first + Math.ceil(this.#boxPx / ROW_PX) + 1, this.#nrRows);
      this.#draw(first, last, this.#scrolledPx - (at - first) * ROW_PX);
    });
  }

  /**
   * Scrolls as little as it takes to bring a row and some neighbours into sight; to the middle if it is far away.
   *
   * @param {number} row
   */
  reveal(row) {
    const [first, page] = [this.#at(), this.#boxPx / ROW_PX];
    if (row >= first && row + 1 <= first + page) return;
    const margin = Math.min(MARGIN_ROWS, page / 4);
    const near = row < first ? row - margin : row + 1 - page + margin;
    this.#scrollTo(Math.abs(near - first) < page ? near : row - page / 2);
  }

  /** The row at the top, with the part of it that is out of sight. */
  #at() {
    return Math.min(this.#scrolledPx * this.#rowsPerPx, Math.max(this.#nrRows - this.#boxPx / ROW_PX, 0));
  }

  /** @param {number} row */
  #scrollTo(row) {
    const hiddenPx = Math.max(this.#spacePx - this.#boxPx, 0);
    this.#scrolledPx = hiddenPx > 0 ? Math.min(Math.max(row / this.#rowsPerPx, 0), hiddenPx) : 0;
    this.#box.scrollTop = this.#scrolledPx;
    this.redraw();
  }

  get #rowsPerPx() {
    const hiddenPx = this.#spacePx - this.#boxPx;
    return hiddenPx > 0 ? (this.#nrRows - this.#boxPx / ROW_PX) / hiddenPx : 0;
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (this.#nrRows * ROW_PX <= MAX_PX || event.deltaY === 0 || event.ctrlKey) return;
    event.preventDefault();
    const rows = event.deltaY / (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 1 : ROW_PX);
    this.#scrollTo(Math.max(this.#at() + rows, 0));
  }
}

/** As the style sheet has it: --row. */
export const ROW_PX = 26;
/** So many neighbours are shown beyond a row that was out of sight. */
const MARGIN_ROWS = 3;
/** Less than any browser's limit. */
const MAX_PX = 10_000_000;
