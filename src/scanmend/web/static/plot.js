/** Curves on a canvas, with axes and units. */

import { fixed, ticks } from "./units.js";

const MARGIN = { top: 24, right: 14, bottom: 36, left: 58 };

/**
 * Draws curves; a NaN is a gap.
 * @param {HTMLCanvasElement} canvas
 * @param {{name: string, x: ArrayLike<number>, y: ArrayLike<number>, colour: string}[]} curves
 *     `colour` is the name of a colour in style.css, "--measured"
 * @param {string} across what is on the horizontal axis, with its unit
 * @param {string} up what is on the vertical axis, with its unit
 */
export function plot(canvas, curves, across, up) {
  const { clientHeight: height, clientWidth: width } = canvas;
  const ratio = window.devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name);
  const [left, right] = range(curves.map((c) => c.x), 0);
  const [low, high] = range(curves.map((c) => c.y), 0.06);
  const wide = width - MARGIN.left - MARGIN.right;
  const tall = height - MARGIN.top - MARGIN.bottom;
  const x = (v) => MARGIN.left + ((v - left) / (right - left)) * wide;
  const y = (v) => MARGIN.top + ((high - v) / (high - low)) * tall;

  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  context.strokeStyle = colour("--rule");
  context.fillStyle = colour("--quiet");
  context.beginPath();
  context.textAlign = "center";
  context.textBaseline = "top";
  const columns = ticks(left, right, Math.max(2, wide / 70));
  for (const mark of columns.marks) {
    context.moveTo(x(mark), MARGIN.top);
    context.lineTo(x(mark), MARGIN.top + tall);
    context.fillText(fixed(mark, columns.step), x(mark), MARGIN.top + tall + 5);
  }
  context.fillText(across, MARGIN.left + wide / 2, height - 15);
  context.textAlign = "right";
  context.textBaseline = "middle";
  const rows = ticks(low, high, Math.max(2, tall / 26));
  for (const mark of rows.marks) {
    context.moveTo(MARGIN.left, y(mark));
    context.lineTo(MARGIN.left + wide, y(mark));
    context.fillText(fixed(mark, rows.step), MARGIN.left - 7, y(mark));
  }
  context.stroke();
  context.save();
  context.translate(11, MARGIN.top + tall / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(up, 0, 0);
  context.restore();

  context.lineWidth = 1.6;
  context.lineJoin = "round";
  for (const curve of curves) {
    context.strokeStyle = colour(curve.colour);
    context.beginPath();
    let pen = false;
    for (let i = 0; i < curve.x.length; i++) {
      const known = curve.y[i] === curve.y[i];
      if (known && pen) context.lineTo(x(curve.x[i]), y(curve.y[i]));
      else if (known) context.moveTo(x(curve.x[i]), y(curve.y[i]));
      pen = known;
    }
    context.stroke();
  }
  legend(context, curves, colour);
}

function legend(context, curves, colour) {
  context.textAlign = "left";
  context.textBaseline = "middle";
  let at = MARGIN.left;
  for (const curve of curves) {
    const wide = context.measureText(curve.name).width;
    context.fillStyle = colour(curve.colour);
    context.fillRect(at, MARGIN.top - 13, 18, 3);
    context.fillStyle = colour("--ink");
    context.fillText(curve.name, at + 24, MARGIN.top - 11);
    at += wide + 44;
  }
}

/** The smallest and the largest of all, and `more` of the range on either side. */
function range(lists, more) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      if (list[i] < low) low = list[i];
      if (list[i] > high) high = list[i];
    }
  }
  if (low > high) return [0, 1];
  const rest = high > low ? more * (high - low) : 0.5;
  return [low - rest, high + rest];
}
