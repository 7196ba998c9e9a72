/** An image on a canvas: zoomed, panned, pointed at by mouse, wheel and keys; linked by its View. */

import { paint } from "./colours.js";
import { sizeOf } from "./scan.js";
import { niceLength } from "./units.js";

const SHARP = 3; // screen pixels for one of the image from which on pixels have edges
const RING_NM = 0.5; // radius of a ring, within what can be seen
const STEP = 40; // CSS pixels that an arrow key pans

/** An image and its pixels in colour; `paint` is all that new levels or colours cost. */
export class Picture {
  /** @param {import("./scan.js").Scan} scan */
  constructor(scan) {
    this.scan = scan;
    this.canvas = new OffscreenCanvas(scan.columns, scan.rows);
    this.context = this.canvas.getContext("2d");
    this.pixels = this.context.createImageData(scan.columns, scan.rows);
  }

  /** Shows `values`, on the pixels of the scan, from `low` to `high` by a table of colours. */
  paint(values, low, high, colours) {
    paint(this.pixels, values, low, high, colours);
    this.context.putImageData(this.pixels, 0, 0);
  }

  /** Shows one colour [red, green, blue] by the opacity, 0 to 255, of every pixel. */
  mark(opacity, colour) {
    const { data } = this.pixels;
    for (let i = 0; i < data.length / 4; i++) {
      data.set(colour, 4 * i);
      data[4 * i + 3] = opacity(i);
    }
    this.context.putImageData(this.pixels, 0, 0);
  }
}

export class Viewer {
  /** What is drawn, from below; the second is seen only right of the `divider`. @type {Picture[]} */
  pictures = [];
  /** Drawn above the last of them. @type {Picture[]} */
  overlays = [];
  /** Places to put a ring around: (y, x), colour, and whether it is dashed. */
  rings = [];
  /** Where the second picture begins, 0 to 1 of the width. */
  divider = 0;
  /** Whether the mouse draws a line rather than pans. */
  drawsLines = false;

  #queued = false;

  /** @param {HTMLCanvasElement} canvas @param {import("./view.js").View} view */
  constructor(canvas, view) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.link(view);
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) this.view.point(this.#at(event));
    });
    canvas.addEventListener("pointerleave", () => this.view.point(null));
    canvas.addEventListener("dblclick", () => this.view.fit());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows the same place as all others of `view`. */
  link(view) {
    this.view?.removeEventListener("change", this.redraw);
    this.view = view;
    view.addEventListener("change", this.redraw);
    this.#resize();
  }

  /** Draws once before the next frame is shown. */
  redraw = () => {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.drawNow();
    });
  };

  drawNow() {
    const { context, canvas } = this;
    const { clientHeight: height, clientWidth: width } = canvas;
    if (!height || !width) return;
    const ratio = canvas.width / width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.pictures.length) return;
    const [first, ...beside] = this.pictures;
    this.#image(first, ratio);
    context.save();
    if (beside.length) {
      const x = Math.round(this.divider * width * ratio) / ratio;
      context.beginPath();
      context.rect(x, 0, width - x, height);
      context.clip();
      context.clearRect(x, 0, width - x, height);
    }
    for (const picture of [...beside, ...this.overlays]) this.#image(picture, ratio);
    context.restore();
    this.#rings();
    this.#line();
    this.#cross();
    this.#scaleBar(height, width);
  }

  #image({ canvas, scan }, ratio) {
    const [tall, wide] = sizeOf(scan);
    const [top, left] = this.#place(scan.origin);
    const [h, w] = [tall / this.view.scale, wide / this.view.scale];
    // Only what is in sight: at a high zoom the whole would be larger than a canvas can hold.
    const seen = (start, length, window, count) => {
      const first = Math.max(0, Math.floor((-start / length) * count));
      const last = Math.min(count, Math.ceil(((window - start) / length) * count));
      return [first, last - first, start + (first * length) / count, ((last - first) * length) / count];
    };
    const [row, rows, y, shownH] = seen(top, h, this.canvas.clientHeight, scan.rows);
    const [column, columns, x, shownW] = seen(left, w, this.canvas.clientWidth, scan.columns);
    if (rows <= 0 || columns <= 0) return;
    this.context.imageSmoothingEnabled = Math.min(h / scan.rows, w / scan.columns) * ratio < SHARP;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(canvas, column, row, columns, rows, x, y, shownW, shownH);
  }

  #rings() {
    const { context } = this;
    this.canvas.dataset.rings = this.rings.length; // a canvas cannot be read
    const radius = Math.min(Math.max(RING_NM / this.view.scale, 4), 14);
    for (const { at, colour, dashed } of this.rings) {
      const [y, x] = this.#place(at);
      for (const [stroke, wide] of [["#000a", 4], [colour, 2]]) {
        context.strokeStyle = stroke;
        context.lineWidth = wide;
        context.setLineDash(dashed ? [3, 3] : []);
        context.beginPath();
        context.arc(x, y, radius, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    context.setLineDash([]);
  }

  #line() {
    if (!this.view.line) return;
    const [[y0, x0], [y1, x1]] = this.view.line.map((end) => this.#place(end));
    const { context } = this;
    for (const [colour, wide] of [["#000a", 4], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      for (const [y, x] of [[y0, x0], [y1, x1]]) {
        context.moveTo(x + 5, y);
        context.arc(x, y, 5, 0, 2 * Math.PI);
      }
      context.stroke();
    }
  }

  #cross() {
    if (!this.view.pointer) return;
    const [y, x] = this.#place(this.view.pointer);
    const { context } = this;
    for (const [colour, wide] of [["#000a", 3], ["#fff", 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.beginPath();
      for (const s of [-1, 1]) {
        context.moveTo(x + 4 * s, y);
        context.lineTo(x + 11 * s, y);
        context.moveTo(x, y + 4 * s);
        context.lineTo(x, y + 11 * s);
      }
      context.stroke();
    }
  }

  #scaleBar(height, width) {
    const { context, view } = this;
    const { along } = this.pictures[0].scan;
    const length = niceLength(0.28 * Math.min(width, sizeOf(this.pictures[0].scan)[1] / view.scale) * view.scale);
    const wide = length / view.scale;
    const label = along === "nm" && length < 0.1 ? `${Math.round(1000 * length)} pm` : `${length} ${along}`;
    context.font = "600 13px system-ui, sans-serif";
    const box = Math.max(wide, context.measureText(label).width) + 16;
    const [x, y] = [10, height - 46];
    context.fillStyle = "#0009";
    context.beginPath();
    context.roundRect(x, y, box, 36, 4);
    context.fill();
    context.fillStyle = "#fff";
    context.fillRect(x + (box - wide) / 2, y + 26, wide, 4);
    context.textAlign = "center";
    context.fillText(label, x + box / 2, y + 17);
    this.canvas.dataset.scaleBar = label; // a canvas cannot be read
  }

  /** CSS pixels (y, x) of a place. */
  #place([y, x]) {
    const { centre, scale } = this.view;
    const { clientHeight, clientWidth } = this.canvas;
    return [(y - centre[0]) / scale + clientHeight / 2, (x - centre[1]) / scale + clientWidth / 2];
  }

  /** The place (y, x) under a pointer event. */
  #at(event) {
    const { centre, scale } = this.view;
    const box = this.canvas.getBoundingClientRect();
    return [
      centre[0] + (event.clientY - box.top - box.height / 2) * scale,
      centre[1] + (event.clientX - box.left - box.width / 2) * scale,
    ];
  }

  #resize() {
    const { clientHeight: height, clientWidth: width } = this.canvas;
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.view.resize(height, width);
    this.redraw();
  }

  #wheel(event) {
    event.preventDefault();
    this.view.zoom(Math.exp(-0.0016 * event.deltaY * (event.deltaMode ? 30 : 1)), this.#at(event));
  }

  #press(event) {
    if (event.button !== 0 || !this.pictures.length) return;
    const { view, canvas } = this;
    const from = view.inside(this.#at(event));
    const draws = this.drawsLines !== event.shiftKey;
    let [x, y] = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
    const move = (now) => {
      if (draws) view.draw([from, view.inside(this.#at(now))]);
      else view.pan(y - now.clientY, x - now.clientX);
      [x, y] = [now.clientX, now.clientY];
    };
    view.isDrawing = draws;
    const end = () => {
      canvas.removeEventListener("pointermove", move);
      view.isDrawing = false;
      if (draws) view.draw(view.line);
    };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", end, { once: true });
    canvas.addEventListener("pointercancel", end, { once: true });
  }

  /** Arrows pan; with Shift they move what is pointed at, with Alt the far end of the line. */
  #key(event) {
    const { view } = this;
    const arrow = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || !this.pictures.length) return;
    if (arrow) {
      const { pixel } = this.pictures[0].scan;
      const moved = ([y, x]) => view.inside([y + arrow[0] * pixel[0], x + arrow[1] * pixel[1]]);
      if (event.altKey) view.draw(this.#moved(moved));
      else if (event.shiftKey) view.point(moved(view.pointer ?? view.centre));
      else view.pan(arrow[0] * STEP, arrow[1] * STEP);
    } else if (event.key === "+" || event.key === "=") view.zoom(1.25, view.pointer ?? view.centre);
    else if (event.key === "-") view.zoom(0.8, view.pointer ?? view.centre);
    else if (event.key === "0") view.fit();
    else if (event.key === "x" && view.line) view.draw([view.line[1], view.line[0]]);
    else if (event.key === "Escape") view.draw(null);
    else return;
    event.preventDefault();
  }

  /** The line with its far end moved; a first one goes through the middle. */
  #moved(moved) {
    const { line, centre, scale } = this.view;
    const quarter = (this.canvas.clientWidth * scale) / 4;
    const [from, to] = line ?? [0, 1].map((i) => this.view.inside([centre[0], centre[1] + (2 * i - 1) * quarter]));
    return [from, moved(to)];
  }
}
