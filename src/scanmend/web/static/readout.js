/** Below the images: values under the pointer, profiles along the line, what the marks mean. */

import { plot } from "./plot.js";
import { lengthOf, profile } from "./profile.js";
import { valueAt } from "./scan.js";
import { fixed, number, unitFor } from "./units.js";

const find = (id) => document.getElementById(id);
const COLOURS = { measured: "--measured", restored: "--restored" };

/** Where the pointer is and what is there, in every image that is shown. */
export function readout(stage) {
  const at = stage.view.pointer;
  const images = [...stage.images()];
  if (!at || !images.length) {
    find("readout").replaceChildren(images.length ? idle(stage) : "");
    return;
  }
  const parts = stage.domain === "fourier" ? frequency(at) : place(at, images[0][1]);
  for (const [name, image] of values(stage, images)) {
    const [low, high] = stage.domain === "fourier" ? [0, 2] : stage.limits;
    const [factor, unit] = stage.domain === "fourier" ? [1, image.unit] : unitFor(image.unit, high - low);
    const value = factor * valueAt(image, ...at);
    parts.push([name, `${fixed(value, factor === 1000 ? 0.1 : 0.001)} ${unit}`, COLOURS[name]]);
  }
  find("readout").replaceChildren(
    ...parts.map(([name, text, colour]) => {
      const item = document.createElement("span");
      item.append(Object.assign(document.createElement("i"), { textContent: name }), text);
      if (colour) item.style.setProperty("--mark", `var(${colour})`);
      return item;
    }),
  );
}

/** The images to read, and the spread, which is worth knowing wherever there is one. */
function values(stage, images) {
  if (stage.domain === "fourier") return images;
  const all = new Map(images);
  for (const name of ["restored", "spread"]) {
    if (stage.scans.has(name)) all.set(name, stage.levelled(name));
  }
  return all;
}

const place = ([y, x], { pixel }) => [
  ["x", `${fixed(x, pixel[1] / 10)} nm`],
  ["y", `${fixed(y, pixel[0] / 10)} nm`],
];

const frequency = ([y, x]) => [
  ["k", `(${fixed(x, 0.001)}, ${fixed(-y, 0.001)}) nm⁻¹`],
  ["period", `${number(1 / Math.hypot(x, y), 4)} nm`],
];

function idle(stage) {
  if (stage.line) return "Alt and arrows move the end of the line.";
  return "Point to read values; drag with Shift to draw a line.";
}

/** Draws the profiles along the stage's line, of the surfaces that are shown. */
export function profiles(stage) {
  const { line } = stage;
  const shows = line && stage.domain === "surface" && stage.scans.size > 0;
  // Not while it is drawn: the images would make room for it under the mouse.
  if (!shows || !stage.isDrawing) find("profile").hidden = !shows;
  if (find("profile").hidden) return;
  const shown = ["measured", "restored"].filter((name) => stage.scans.has(name));
  if (stage.right.startsWith("draw ")) shown.push(stage.right);
  const images = shown.map((name) => [name, stage.levelled(name)]);
  const curves = images.map(([name, image]) => ({ name, ...profile(image, line) }));
  const heights = curves.flatMap(({ values }) => [...values].filter((v) => v === v));
  const span = heights.length ? Math.max(...heights) - Math.min(...heights) : 0;
  const { unit: own, quantity } = images[0][1];
  const [factor, unit] = unitFor(own, span);
  const drawn = curves.map(({ name, distance, values }) => ({
    name,
    x: distance,
    y: values.map((v) => factor * v),
    colour: COLOURS[name] ?? "--draw",
  }));
  const canvas = find("curves");
  const along = `along the line (nm), ${number(lengthOf(line), 4)} nm long`;
  plot(canvas, drawn, along, quantity === unit ? unit : `${quantity} (${unit})`);
  canvas.dataset.length = lengthOf(line).toFixed(3); // a canvas cannot be read
  canvas.dataset.points = String(drawn[0].x.length);
}

/** What the colours above the image mean. */
export function legend(stage) {
  const spread = stage.scans.get("spread");
  const shown = spread && stage.overlay !== "none" && stage.domain === "surface";
  find("legend").hidden = !shown;
  if (!shown) return;
  const [factor, unit] = unitFor(spread.unit, stage.threshold);
  const threshold = find("threshold");
  threshold.dataset.factor = factor;
  threshold.value = Number((factor * stage.threshold).toPrecision(3));
  let [above, known] = [0, 0];
  for (const v of spread.values) {
    if (v === v) known++;
    if (v > stage.threshold) above++;
  }
  const doubtful = stage.overlay === "doubtful";
  find("meaning").textContent = doubtful ? "doubtful: the truth may be off by more than" : "spread: half tinted at";
  find("share").textContent = `${unit}${doubtful ? `, ${fixed((100 * above) / known, 0.1)} % of the pixels` : ""}`;
}
