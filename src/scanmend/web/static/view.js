/** What linked viewers share: the place and scale they show, what they point at, and a line. */

/** Tells every listener of "change" that it must be drawn again. Lengths in the image's `along`. */
export class View extends EventTarget {
  /** Centre (y, x) of what is shown. */
  centre = [0, 0];
  /** Length of one CSS pixel. */
  scale = 1;
  /** What is pointed at, (y, x), or null. */
  pointer = null;
  /** Both ends of the line, [[y, x], [y, x]], or null. */
  line = null;
  /** Whether the mouse is about to draw it. */
  isDrawing = false;

  #whole = [0, 0, 1, 1]; // top, left, height, width
  #window = [1, 1];
  #fitted = true;

  /** The field of view of the images; shown whole if it is another one than before. */
  bound(top, left, height, width) {
    const whole = [top, left, height, width];
    if (whole.every((v, i) => Math.abs(v - this.#whole[i]) < 1e-6 * (height + width))) return;
    this.#whole = whole;
    this.line = null;
    this.pointer = null;
    this.fit();
  }

  /** The CSS pixels (height, width) that every viewer has. */
  resize(height, width) {
    if (!height || !width || (height === this.#window[0] && width === this.#window[1])) return;
    this.#window = [height, width];
    if (this.#fitted) this.fit();
    else this.changed();
  }

  /** Shows everything, and draws again. */
  fit() {
    const [top, left, height, width] = this.#whole;
    this.centre = [top + height / 2, left + width / 2];
    this.scale = Math.max(height / this.#window[0], width / this.#window[1]);
    this.#fitted = true;
    this.changed();
  }

  /** Magnifies `by` about the point (y, x), which stays where it is. */
  zoom(by, [y, x] = this.centre) {
    const [, , height, width] = this.#whole;
    const out = (4 * Math.max(height, width)) / Math.min(...this.#window);
    const scale = Math.min(Math.max(this.scale / by, out / 1e5), out);
    const kept = scale / this.scale;
    this.centre = [y + (this.centre[0] - y) * kept, x + (this.centre[1] - x) * kept];
    this.scale = scale;
    this.#moved();
  }

  /** Moves what is shown by CSS pixels; some of the image always stays in sight. */
  pan(down, across) {
    this.centre = [this.centre[0] + down * this.scale, this.centre[1] + across * this.scale];
    this.#moved();
  }

  point(at) {
    this.pointer = at;
    this.dispatchEvent(new Event("point"));
    this.changed();
  }

  draw(line) {
    this.line = line;
    this.dispatchEvent(new Event("line"));
    this.changed();
  }

  /** The place (y, x) within the field of view that is nearest to `at`. */
  inside([y, x]) {
    const [top, left, height, width] = this.#whole;
    return [Math.min(Math.max(y, top), top + height), Math.min(Math.max(x, left), left + width)];
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  #moved() {
    this.centre = this.inside(this.centre);
    this.#fitted = false;
    this.changed();
  }
}
