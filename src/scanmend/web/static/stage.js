/** The images on the restore page: what is shown of them, in which colours, with which marks. */

import { CHOICES, table } from "./colours.js";
import { FATES } from "./defects.js";
import { spectrum } from "./fourier.js";
import { FEW, fitPlane, levelsOf, subtractLines, subtractPlane } from "./levels.js";
import { sizeOf, withValues } from "./scan.js";
import { View } from "./view.js";
import { Picture, Viewer } from "./viewer.js";

const DOUBTFUL = [0, 229, 255];
const PAIR = ["measured", "restored"];

/** Tells of "levels", "pictures" and "point" when these have changed. */
export class Stage extends EventTarget {
  /** Of the picture: "plane", "lines" or "none"; counts have an origin, and stay as they are. */
  level = "plane";
  colours = CHOICES[0];
  layout = "side";
  domain = "surface";
  /** Name of what is on the right. */
  right = "restored";
  overlay = "none";
  /** Defects: what became of each, and where. */
  marks = [];
  /** A pixel whose spread exceeds it is doubtful; in the scan's unit. */
  threshold = 0;
  /** Levels that were chosen, or null for those of the images. */
  chosen = null;

  /** By name, as they came. @type {Map<string, import("./scan.js").Scan>} */
  scans = new Map();

  #plane = null;
  #levelled = new Map();
  #spectra = new Map();
  #pictures = new Map();
  #views = { surface: new View(), fourier: new View() };

  constructor(left, right) {
    super();
    this.viewers = [left, right].map((canvas) => new Viewer(canvas, this.view));
    for (const view of Object.values(this.#views)) {
      for (const name of ["point", "line"]) {
        view.addEventListener(name, () => this.dispatchEvent(new Event(name)));
      }
    }
  }

  get view() {
    return this.#views[this.domain];
  }

  /** Line of the surface, whatever is shown. */
  get line() {
    return this.#views.surface.line;
  }

  /** Whether it is not there yet, but about to be. */
  get isDrawing() {
    return this.#views.surface.isDrawing;
  }

  /** Shows other scans, by name; "measured" is one of them. */
  show(scans) {
    this.scans = scans;
    const size = sizeOf(scans.get("measured"));
    this.#views.surface.bound(0, 0, ...size);
    this.#plane = null;
    this.#levelled.clear();
    this.#spectra.clear();
    this.#pictures.clear();
    this.refresh();
  }

  /** Shows nothing. */
  clear() {
    this.scans = new Map();
    for (const viewer of this.viewers) {
      viewer.pictures = viewer.overlays = viewer.rings = [];
      viewer.redraw();
    }
    this.#views.surface.draw(null);
    this.dispatchEvent(new Event("pictures"));
  }

  /** Draws again after any property was changed. */
  refresh() {
    if (!this.scans.size) return;
    if (this.domain === "fourier") this.#boundSpectrum();
    const images = this.images();
    this.limits = this.chosen ?? this.#limits(images);
    const names = [...images.keys()];
    const pictures = names.map((name) => this.#picture(name, images.get(name)));
    const [left, right] = this.viewers;
    left.pictures = this.layout === "slider" ? pictures : pictures.slice(0, 1);
    right.pictures = this.layout === "slider" ? [] : pictures.slice(1);
    const marks = this.domain === "surface" ? this.#marks() : [];
    for (const viewer of this.viewers) {
      if (viewer.view !== this.view) viewer.link(this.view);
      // The measured scan stays as it is: the marks are about what was made of it.
      viewer.overlays = viewer === left && this.layout === "side" ? [] : marks;
      viewer.rings = this.domain === "surface" ? this.#rings(viewer === left) : [];
      viewer.redraw();
    }
    this.dispatchEvent(new Event("pictures"));
  }

  /** What is shown, by name: the measured scan, and what is beside it. */
  images() {
    const names = this.scans.has("measured") ? ["measured"] : [];
    if (this.scans.has(this.right) || this.#isRemoved()) names.push(this.right);
    return new Map(names.map((name) => [name, this.domain === "fourier" ? this.#spectrum(name) : this.levelled(name)]));
  }

  /** A scan as it is shown; "removed" is the measured one less the restored. */
  levelled(name) {
    if (!this.#levelled.has(name)) this.#levelled.set(name, this.#level(name));
    return this.#levelled.get(name);
  }

  /** Forgets what levelling made; after `level` was changed. */
  relevel() {
    this.#levelled.clear();
    this.chosen = null;
    this.refresh();
  }

  /** Whether an image has levels of its own, and not those of the measured one. */
  hasOwnLevels(name) {
    return this.domain === "surface" && (name === "spread" || name === "removed");
  }

  /** Levels and colours of an image. */
  scaleOf(name) {
    if (!this.hasOwnLevels(name)) return [...this.limits, this.colours];
    const [low, high] = levelsOf(FEW, this.levelled(name).values);
    const most = Math.max(Math.abs(low), Math.abs(high));
    return name === "spread" ? [0, most, "cividis"] : [-most, most, "difference"];
  }

  #isRemoved() {
    const [measured, restored] = PAIR.map((name) => this.scans.get(name));
    return this.right === "removed" && restored && measured.values.length === restored.values.length;
  }

  #level(name) {
    if (name === "removed") {
      const [measured, restored] = PAIR.map((n) => this.scans.get(n));
      return withValues(measured, measured.values.map((v, i) => v - restored.values[i]));
    }
    const scan = this.scans.get(name);
    if (name === "spread" || this.level === "none" || scan.quantity === "counts") return scan;
    // One plane for all, the one of what was mended: where nothing was done, heights agree.
    this.#plane ??= fitPlane(this.scans.get("restored") ?? this.scans.get("measured"));
    const flat = withValues(scan, subtractPlane(scan, this.#plane));
    return this.level === "lines" ? withValues(flat, subtractLines(flat)) : flat;
  }

  #spectrum(name) {
    if (!this.#spectra.has(name)) {
      const scan = this.scans.get(name) ?? this.levelled(name);
      this.#spectra.set(name, spectrum(scan));
    }
    return this.#spectra.get(name);
  }

  #boundSpectrum() {
    // As wide as the finest of them reaches, whichever is shown.
    const finest = [...this.scans.values()].map((s) => [1 / s.pixel[0], 1 / s.pixel[1]]);
    const [tall, wide] = [0, 1].map((axis) => Math.max(...finest.map((f) => f[axis])));
    this.#views.fourier.bound(-tall / 2, -wide / 2, tall, wide);
  }

  #limits(images) {
    if (this.domain === "fourier") return levelsOf([20, 99.9], images.get("measured").values);
    const shared = [...images].filter(([name]) => !this.hasOwnLevels(name));
    return levelsOf(FEW, ...shared.map(([, image]) => image.values));
  }

  #picture(name, image) {
    const key = `${this.domain} ${name}`;
    if (!this.#pictures.has(key)) this.#pictures.set(key, new Picture(image));
    const picture = this.#pictures.get(key);
    const [low, high, colours] = this.scaleOf(name);
    picture.paint(image.values, low, high, table(colours));
    return picture;
  }

  /** Each defect where it is to be seen: what was added is not in the measured scan. */
  #rings(isLeft) {
    const alone = this.layout === "side" ? (isLeft ? "added" : "removed") : null;
    const [height, width] = sizeOf(this.scans.get("measured"));
    return this.marks
      .filter(({ fate }) => fate !== alone)
      .map(({ fate, x_nm, y_nm, edge, counted }) => ({
        at: [y_nm + height / 2, x_nm + width / 2],
        colour: FATES[fate],
        dashed: edge || counted === false,
      }));
  }

  #marks() {
    const spread = this.scans.get("spread");
    if (!spread || this.overlay === "none") return [];
    if (!this.#pictures.has("marks")) this.#pictures.set("marks", new Picture(spread));
    const picture = this.#pictures.get("marks");
    picture.mark(this.overlay === "spread" ? shade(spread, this.threshold) : outline(spread, this.threshold), DOUBTFUL);
    return [picture];
  }
}

/** Opacity of every pixel: a region above the threshold is tinted, its border is drawn. */
function outline({ values, rows, columns }, threshold) {
  return (at) => {
    if (!(values[at] > threshold)) return 0;
    const column = at % columns;
    const inner =
      (column === 0 || values[at - 1] > threshold) &&
      (column === columns - 1 || values[at + 1] > threshold) &&
      (at < columns || values[at - columns] > threshold) &&
      (at >= (rows - 1) * columns || values[at + columns] > threshold);
    return inner ? 80 : 190;
  };
}

/** Opacity in proportion to the spread; nearly opaque at twice the threshold. */
function shade({ values }, threshold) {
  return (at) => Math.min(235, (115 * (values[at] || 0)) / threshold);
}
