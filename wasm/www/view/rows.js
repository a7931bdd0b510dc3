/** A long list of which only the rows in sight exist. */

/**
 * Places rows in a box that scrolls. Where the list is longer than an element may be high, the bar stands for more rows, and
 * the wheel is made to move as many as elsewhere.
 */
export class Rows {
  /** How many rows there are. */
  #nrRows = 0;
  #isDrawn = false;
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
    box.addEventListener("scroll", () => this.redraw());
    box.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => this.#resize()).observe(box);
  }

  get nrRows() {
    return this.#nrRows;
  }

  set nrRows(nrRows) {
    this.#nrRows = nrRows;
    this.#resize();
  }

  /** How many whole rows are in sight. */
  get pageRows() {
    return Math.max(Math.floor(this.#box.clientHeight / ROW_PX), 1);
  }

  /** Draws the rows in sight, before the next frame. */
  redraw() {
    if (this.#isDrawn) return;
    this.#isDrawn = true;
    requestAnimationFrame(() => {
      this.#isDrawn = false;
      const at = this.#at();
      const first = Math.floor(at);
      const last = Math.min(first + Math.ceil(this.#box.clientHeight / ROW_PX) + 1, this.#nrRows);
      this.#draw(first, last, this.#box.scrollTop - (at - first) * ROW_PX);
    });
  }

  /**
   * Scrolls as little as it takes to bring a row into sight; to the middle if it is far away.
   *
   * @param {number} row
   */
  reveal(row) {
    const [first, page] = [this.#at(), this.#box.clientHeight / ROW_PX];
    if (row >= first && row + 1 <= first + page) return;
    const near = row < first ? row : row + 1 - page;
    this.#scrollTo(Math.abs(near - first) < page ? near : row - page / 2);
  }

  /** The row at the top, with the part of it that is out of sight. */
  #at() {
    return Math.min(this.#box.scrollTop * this.#rowsPerPx, Math.max(this.#nrRows - this.#box.clientHeight / ROW_PX, 0));
  }

  /** @param {number} row */
  #scrollTo(row) {
    this.#box.scrollTop = row / this.#rowsPerPx;
    this.redraw();
  }

  get #rowsPerPx() {
    const hidden = this.#space.offsetHeight - this.#box.clientHeight;
    return hidden > 0 ? (this.#nrRows - this.#box.clientHeight / ROW_PX) / hidden : 0;
  }

  #resize() {
    this.#space.style.height = `${Math.min(this.#nrRows * ROW_PX, MAX_PX)}px`;
    this.redraw();
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
/** Less than any browser's limit. */
const MAX_PX = 10_000_000;
