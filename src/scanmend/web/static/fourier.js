/** The power spectrum of a scan of any size, by the same formula as `figures.power_spectrum`. */

import { fitPlane, subtractPlane } from "./levels.js";
import { scanOf, sizeOf } from "./scan.js";

/** A plan for transforms of length n: radix 2 where n is a power of 2, Bluestein's otherwise. */
function planOf(n) {
  if ((n & (n - 1)) === 0) return radix2(n);
  let m = 1;
  while (m < 2 * n - 1) m *= 2;
  const inner = radix2(m);
  const chirpRe = new Float64Array(n);
  const chirpIm = new Float64Array(n);
  const filterRe = new Float64Array(m);
  const filterIm = new Float64Array(m);
  for (let k = 0; k < n; k++) {
    const angle = (Math.PI * ((k * k) % (2 * n))) / n;
    chirpRe[k] = Math.cos(angle);
    chirpIm[k] = -Math.sin(angle);
    for (const at of [k, (m - k) % m]) {
      filterRe[at] = chirpRe[k];
      filterIm[at] = -chirpIm[k];
    }
  }
  inner(filterRe, filterIm);
  const a = new Float64Array(m);
  const b = new Float64Array(m);
  return (re, im) => {
    a.fill(0);
    b.fill(0);
    for (let k = 0; k < n; k++) {
      a[k] = re[k] * chirpRe[k] - im[k] * chirpIm[k];
      b[k] = re[k] * chirpIm[k] + im[k] * chirpRe[k];
    }
    inner(a, b);
    for (let k = 0; k < m; k++) {
      const real = a[k] * filterRe[k] - b[k] * filterIm[k];
      b[k] = a[k] * filterIm[k] + b[k] * filterRe[k];
      a[k] = real;
    }
    inner(b, a); // real and imaginary part exchanged: the inverse, times m
    for (let k = 0; k < n; k++) {
      re[k] = (a[k] * chirpRe[k] - b[k] * chirpIm[k]) / m;
      im[k] = (a[k] * chirpIm[k] + b[k] * chirpRe[k]) / m;
    }
  };
}

/** Transforms in place, by decimation in time. */
function radix2(n) {
  const cos = new Float64Array(n / 2);
  const sin = new Float64Array(n / 2);
  for (let k = 0; k < n / 2; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / n);
    sin[k] = -Math.sin((2 * Math.PI * k) / n);
  }
  const turned = new Uint32Array(n); // indices with their bits reversed
  for (let i = 1, bits = Math.log2(n); i < n; i++) {
    turned[i] = (turned[i >> 1] >> 1) | ((i & 1) << (bits - 1));
  }
  return (re, im) => {
    for (let i = 0; i < n; i++) {
      const j = turned[i];
      if (j <= i) continue;
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
    for (let half = 1; half < n; half *= 2) {
      const stride = n / (2 * half);
      for (let start = 0; start < n; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const i = start + k;
          const j = i + half;
          const c = cos[k * stride];
          const s = sin[k * stride];
          const real = re[j] * c - im[j] * s;
          const imaginary = re[j] * s + im[j] * c;
          re[j] = re[i] - real;
          im[j] = im[i] - imaginary;
          re[i] += real;
          im[i] += imaginary;
        }
      }
    }
  };
}

const hann = (n) => Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 1)) / (n + 1)));

/**
 * Power of the levelled, Hann-windowed scan, in its unit squared; zero frequency at
 * [rows >> 1, columns >> 1]. What was not measured counts as 0. White noise of variance s² has
 * mean power s². @returns {Float64Array}
 */
export function power(scan) {
  const { rows, columns } = scan;
  const levelled = subtractPlane(scan, fitPlane(scan));
  const [down, across] = [hann(rows), hann(columns)];
  const re = new Float64Array(rows * columns);
  const im = new Float64Array(rows * columns);
  let weight = 0;
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at++) {
      const w = down[i] * across[j];
      weight += w * w;
      re[at] = levelled[at] === levelled[at] ? w * levelled[at] : 0;
    }
  }
  const along = planOf(columns);
  for (let i = 0; i < rows; i++) {
    along(re.subarray(i * columns, (i + 1) * columns), im.subarray(i * columns, (i + 1) * columns));
  }
  const downwards = planOf(rows);
  const a = new Float64Array(rows);
  const b = new Float64Array(rows);
  const out = new Float64Array(rows * columns);
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) {
      a[i] = re[i * columns + j];
      b[i] = im[i * columns + j];
    }
    downwards(a, b);
    const column = (j + (columns >> 1)) % columns;
    for (let i = 0; i < rows; i++) {
      const row = (i + (rows >> 1)) % rows;
      out[row * columns + column] = (a[i] * a[i] + b[i] * b[i]) / weight;
    }
  }
  return out;
}

/** The logarithm (base 10) of the power as an image over nm⁻¹, for a viewer. */
export function spectrum(scan) {
  const values = Float32Array.from(power(scan), (p) => Math.log10(Math.max(p, 1e-30)));
  const [height, width] = sizeOf(scan);
  const origin = [-((scan.rows >> 1) + 0.5) / height, -((scan.columns >> 1) + 0.5) / width];
  const about = { origin, along: "nm⁻¹", quantity: "power", unit: `log₁₀ ${scan.unit}²` };
  return scanOf(values, scan.rows, scan.columns, [1 / height, 1 / width], about);
}
