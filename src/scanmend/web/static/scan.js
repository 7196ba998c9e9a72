/** Images as the server sends them: float32 row by row, and what they mean in the header `X-Scan`. */

import { request } from "./api.js";

/**
 * @typedef {object} Scan
 * @property {Float32Array} values row by row; NaN was not measured
 * @property {number} rows
 * @property {number} columns
 * @property {[number, number]} pixel pitch (rows, columns), in `along`
 * @property {[number, number]} origin where the top left corner is (y, x), in `along`; y goes down
 * @property {string} along unit of lengths: "nm", or "nm⁻¹" of a Fourier transform
 * @property {string} quantity "height", "current" or "counts"
 * @property {string} unit of the values
 * @property {object} acquisition how it was taken; what is not known is null
 * @property {string[]} history
 */

/** The scan at `url`, asked for as by `fetch`; throws an Error of one line. @returns {Promise<Scan>} */
export async function fetchScan(url, options) {
  const response = await request(url, options);
  const { rows, columns, pixel_nm, quantity, ...rest } = JSON.parse(response.headers.get("X-Scan"));
  const values = new Float32Array(await response.arrayBuffer());
  if (values.length !== rows * columns) {
    throw new Error(`the server sent ${values.length} pixels of ${rows} × ${columns}: try again`);
  }
  return scanOf(values, rows, columns, pixel_nm, { ...rest, quantity: quantity.toLowerCase() });
}

/** A scan from its parts; `rest` may hold any other property. @returns {Scan} */
export function scanOf(values, rows, columns, pixel, rest = {}) {
  const known = { origin: [0, 0], along: "nm", quantity: "height", unit: "nm" };
  return { ...known, acquisition: {}, history: [], ...rest, values, rows, columns, pixel };
}

/** The same field of view with other values on the same pixels. @returns {Scan} */
export const withValues = (scan, values) => ({ ...scan, values });

/** Field of view [height, width], in `scan.along`. */
export const sizeOf = ({ rows, columns, pixel }) => [rows * pixel[0], columns * pixel[1]];

/** The pixel at (y, x) in `scan.along`, as it is; NaN outside. */
export function valueAt({ values, rows, columns, pixel, origin }, y, x) {
  const row = Math.floor((y - origin[0]) / pixel[0]);
  const column = Math.floor((x - origin[1]) / pixel[1]);
  const inside = row >= 0 && row < rows && column >= 0 && column < columns;
  return inside ? values[row * columns + column] : NaN;
}
