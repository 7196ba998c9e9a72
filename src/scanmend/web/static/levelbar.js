/** The colour bar below the images: histogram, both levels by mouse or as numbers. */

import { table } from "./colours.js";
import { histogram } from "./levels.js";
import { fixed, unitFor } from "./units.js";

const STRIP = 12; // CSS pixels of colour below the histogram
const NEAR = 0.15; // share of the bar beyond either level

/** Tells `choose(low, high)`, or `choose(null)` for automatic levels. */
export class LevelBar {
  #drag = null;

  constructor(element, stage, choose) {
    const find = (id) => element.querySelector(`#${id}`);
    Object.assign(this, { element, stage, choose });
    this.canvas = find("bar");
    [this.low, this.high, this.unit] = ["low", "high", "levelUnit"].map(find);
    find("auto").addEventListener("click", () => choose(null));
    for (const input of [this.low, this.high]) {
      input.addEventListener("change", () => this.#typed());
    }
    this.canvas.addEventListener("pointerdown", (event) => this.#press(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.canvas.addEventListener("pointerup", () => (this.#drag = null));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /** Draws it anew for what the stage shows. */
  draw() {
    const { stage, canvas } = this;
    if (!stage.scans.size || !canvas.clientWidth) return;
    const [low, high] = stage.limits;
    const image = stage.images().get("measured");
    const [factor, unit] = stage.domain === "fourier" ? [1, image.unit] : unitFor(image.unit, high - low);
    this.factor = factor;
    const step = (factor * (high - low)) / 200;
    this.low.value = fixed(factor * low, step).replace("−", "-");
    this.high.value = fixed(factor * high, step).replace("−", "-");
    this.low.step = this.high.step = String(10 ** Math.floor(Math.log10(10 * step)));
    this.unit.textContent = unit;
    if (!this.#drag) this.range = [low - NEAR * (high - low), high + NEAR * (high - low)];
    this.#paint(image.values, low, high);
  }

  #paint(values, low, high) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [from, to] = this.range;
    const counts = histogram(values, from, to, Math.max(1, Math.floor(width / 2)));
    const most = Math.max(...counts) || 1;
    const colours = new Uint8ClampedArray(table(this.stage.colours).buffer);
    const style = getComputedStyle(canvas);
    const tall = height - STRIP - 2;
    for (let x = 0; x < width; x++) {
      const value = from + ((x + 0.5) / width) * (to - from);
      const at = Math.min(255, Math.max(0, Math.floor((256 * (value - low)) / (high - low))));
      context.fillStyle = `rgb(${colours.subarray(4 * at, 4 * at + 3).join(" ")})`;
      context.fillRect(x, height - STRIP, 1, STRIP);
    }
    context.fillStyle = style.getPropertyValue("--quiet");
    counts.forEach((count, i) => {
      const h = (count / most) * tall;
      context.fillRect((i * width) / counts.length, tall - h, width / counts.length - 0.5, h);
    });
    context.fillStyle = style.getPropertyValue("--ink");
    for (const level of [low, high]) {
      const x = ((level - from) / (to - from)) * width;
      context.fillRect(x - 1, 0, 2, height);
      context.beginPath();
      context.arc(x, 5, 5, 0, 2 * Math.PI);
      context.fill();
    }
  }

  #value(event) {
    const box = this.canvas.getBoundingClientRect();
    const [from, to] = this.range;
    return from + ((event.clientX - box.left) / box.width) * (to - from);
  }

  #press(event) {
    const [low, high] = this.stage.limits;
    const value = this.#value(event);
    this.#drag = Math.abs(value - low) < Math.abs(value - high) ? "low" : "high";
    this.canvas.setPointerCapture(event.pointerId);
    this.#move(event);
  }

  #move(event) {
    if (!this.#drag) return;
    const [low, high] = this.stage.limits;
    const value = this.#value(event);
    if (this.#drag === "low" && value < high) this.choose([value, high]);
    if (this.#drag === "high" && value > low) this.choose([low, value]);
  }

  #typed() {
    const [low, high] = [this.low, this.high].map((input) => input.valueAsNumber / this.factor);
    if (low < high) this.choose([low, high]);
    else this.draw();
  }
}
