/** Heights along a line. */

const MOST = 2048;

/** Length of a line [[y, x], [y, x]], in its unit. */
export const lengthOf = ([[y0, x0], [y1, x1]]) => Math.hypot(y1 - y0, x1 - x0);

/**
 * Values along a line, between pixels linear; NaN beside what was not measured, and outside.
 * @param {import("./scan.js").Scan} scan
 * @returns {{distance: Float64Array, values: Float64Array}} about two for every pixel
 */
export function profile(scan, line) {
  const { values, rows, columns, pixel, origin } = scan;
  const [[y0, x0], [y1, x1]] = line;
  const length = lengthOf(line);
  const count = Math.max(2, Math.min(MOST, Math.ceil((2 * length) / Math.min(...pixel)) + 1));
  const distance = new Float64Array(count);
  const found = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    const share = k / (count - 1);
    distance[k] = share * length;
    // In pixels from the centre of the first; half a pixel beyond the last centre is still inside.
    const v = (y0 + share * (y1 - y0) - origin[0]) / pixel[0] - 0.5;
    const u = (x0 + share * (x1 - x0) - origin[1]) / pixel[1] - 0.5;
    if (v < -0.5001 || u < -0.5001 || v > rows - 0.4999 || u > columns - 0.4999) {
      found[k] = NaN;
      continue;
    }
    const i = Math.min(Math.max(Math.floor(v), 0), Math.max(rows - 2, 0));
    const j = Math.min(Math.max(Math.floor(u), 0), Math.max(columns - 2, 0));
    const p = Math.min(Math.max(v - i, 0), 1);
    const q = Math.min(Math.max(u - j, 0), 1);
    const at = (r, c) => values[Math.min(i + r, rows - 1) * columns + Math.min(j + c, columns - 1)];
    // A neighbour of no weight has no say, even where it was not measured.
    const mix = (a, b, w) => (w === 0 ? a : w === 1 ? b : a + w * (b - a));
    found[k] = mix(mix(at(0, 0), at(0, 1), q), mix(at(1, 0), at(1, 1), q), p);
  }
  return { distance, values: found };
}
