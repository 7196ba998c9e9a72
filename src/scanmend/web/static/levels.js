/** Levelling and contrast: of the picture only, never of what is saved. NaN was not measured. */

const CRASH = 30; // how many times farther off than half of all pixels must not tilt the plane
const ENOUGH = 32768; // pixels that decide a contrast

/** Percentiles (0 to 100) as NumPy's: linear between neighbours. NaN where nothing was measured. */
export function percentiles(values, shares, room = new values.constructor(values.length)) {
  const known = measured(values, room);
  return shares.map((share) => {
    if (!known.length) return NaN;
    const at = ((known.length - 1) * share) / 100;
    const low = Math.floor(at);
    const below = select(known, low);
    if (at === low) return below;
    let above = Infinity; // all that is right of `low` is at least as large
    for (let i = low + 1; i < known.length; i++) if (known[i] < above) above = known[i];
    return below + (at - low) * (above - below);
  });
}

/** What was measured, put into `room`. Loops, here and below: a call for every pixel costs ten times as much. */
function measured(values, room) {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === values[i]) room[count++] = values[i];
  return room.subarray(0, count);
}

/** The k-th smallest of `a`, which is put into such an order that it stands at k (Hoare's find). */
function select(a, k) {
  let left = 0;
  let right = a.length - 1;
  while (left < right) {
    const pivot = median3(a[left], a[(left + right) >> 1], a[right]);
    let i = left;
    let j = right;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) break;
      const kept = a[i];
      a[i++] = a[j];
      a[j--] = kept;
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else break;
  }
  return a[k];
}

const median3 = (a, b, c) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));

/** One value in how many, so that about `ENOUGH` are left; odd, which seldom divides a width. */
const strideOf = ({ length }) => (length <= ENOUGH ? 1 : Math.ceil(length / ENOUGH) | 1);

function sample(values) {
  const stride = strideOf(values);
  if (stride === 1) return values;
  const some = new Float32Array(Math.floor(values.length / stride));
  for (let i = 0; i < some.length; i++) some[i] = values[i * stride];
  return some;
}

/**
 * The least-squares plane [c, u, v] through what was measured: c + u·x + v·y, x and y from -1 to 1
 * across the field of view. Pixels that a tip crash threw far off do not tilt it.
 */
export function fitPlane(scan) {
  const plane = leastSquares(scan);
  const off = distances(scan, plane);
  let most = 0; // of a sample: what is too small to be met by it tilts nothing
  for (let i = 0; i < off.length; i++) if (off[i] > most) most = off[i];
  const far = CRASH * percentiles(off, [50])[0];
  return most > far ? leastSquares(withoutFar(scan, plane, far)) : plane;
}

/** How far a sample of the pixels lies from a plane. */
function distances({ values, rows, columns }, [c, u, v]) {
  const stride = strideOf(values);
  const off = new Float32Array(Math.floor(values.length / stride));
  for (let i = 0, at = 0; i < off.length; i++, at += stride) {
    const row = Math.floor(at / columns);
    const y = (2 * row + 1) / rows - 1;
    const x = (2 * (at - row * columns) + 1) / columns - 1;
    off[i] = Math.abs(values[at] - c - u * x - v * y);
  }
  return off;
}

/** The scan with NaN for what lies farther from a plane. */
function withoutFar(scan, plane, far) {
  const flat = subtractPlane(scan, plane);
  return { ...scan, values: scan.values.map((z, i) => (Math.abs(flat[i]) > far ? NaN : z)) };
}

function leastSquares({ values, rows, columns }) {
  const xs = Float64Array.from({ length: columns }, (_, j) => (2 * j + 1) / columns - 1);
  const m = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]; // the normal equations, z at the right
  for (let i = 0; i < rows; i++) {
    const [n, sx, sxx, sz, szx] = lineSums(values, i * columns, xs);
    const y = (2 * i + 1) / rows - 1;
    add(m[0], n, sx, n * y, sz);
    add(m[1], sx, sxx, sx * y, szx);
    add(m[2], n * y, sx * y, n * y * y, sz * y);
  }
  return solve(m);
}

/** Sums of 1, x, x², z and z·x over a line. By itself, so that a browser compiles it at once. */
function lineSums(values, from, xs) {
  let n = 0, sx = 0, sxx = 0, sz = 0, szx = 0;
  for (let j = 0; j < xs.length; j++) {
    const z = values[from + j];
    if (z !== z) continue;
    const x = xs[j];
    n++;
    sx += x;
    sxx += x * x;
    sz += z;
    szx += z * x;
  }
  return [n, sx, sxx, sz, szx];
}

const add = (sums, ...more) => more.forEach((v, k) => (sums[k] += v));

/** Gauss-Jordan with pivots; an unknown that nothing decides (a single line) is 0. */
function solve(m) {
  const rowOf = [];
  const count = m[0][0];
  for (let c = 0; c < 3; c++) {
    const rest = [0, 1, 2].filter((r) => !rowOf.includes(r));
    const pivot = rest.reduce((p, r) => (Math.abs(m[r][c]) > Math.abs(m[p][c]) ? r : p));
    if (Math.abs(m[pivot][c]) <= 1e-9 * count) continue;
    rowOf[c] = pivot;
    for (const r of [0, 1, 2]) {
      const f = r === pivot ? 0 : m[r][c] / m[pivot][c];
      for (let k = 0; k < 4; k++) m[r][k] -= f * m[pivot][k];
    }
  }
  return [0, 1, 2].map((c) => (rowOf[c] === undefined ? 0 : m[rowOf[c]][3] / m[rowOf[c]][c]));
}

/** The values without a plane of `fitPlane`, which may be of another scan of the same field. */
export function subtractPlane({ values, rows, columns }, [c, u, v]) {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    const start = c + v * ((2 * i + 1) / rows - 1) + u * (1 / columns - 1);
    subtractRamp(values, out, i * columns, columns, start, (2 * u) / columns);
  }
  return out;
}

function subtractRamp(values, out, from, length, start, step) {
  for (let j = 0; j < length; j++) out[from + j] = values[from + j] - start - step * j;
}

/** The values with every line's median at 0. */
export function subtractLines({ values, rows, columns }) {
  const out = new Float32Array(values.length);
  const room = new Float32Array(columns);
  for (let i = 0; i < rows; i++) {
    const line = values.subarray(i * columns, (i + 1) * columns);
    const [median] = percentiles(line, [50], room);
    subtractRamp(values, out, i * columns, columns, median, 0);
  }
  return out;
}

/** Percentiles that a few spikes do not set. */
export const FEW = [0.5, 99.5];

/** Levels [low, high]: the lowest and the highest of two percentiles of any image. */
export function levelsOf(shares, ...images) {
  const ends = images.map((values) => percentiles(sample(values), shares));
  const known = ends.filter(([low]) => low === low);
  if (!known.length) return [0, 1];
  const low = Math.min(...known.map((e) => e[0]));
  const high = Math.max(...known.map((e) => e[1]));
  return high > low ? [low, high] : [low - 1e-6, high + 1e-6];
}

/** How many values lie in each of `bins` equal parts of [low, high]. */
export function histogram(values, low, high, bins) {
  const counts = new Float64Array(bins);
  const scale = bins / (high - low);
  const some = sample(values);
  for (let i = 0; i < some.length; i++) {
    const bin = Math.floor((some[i] - low) * scale);
    if (bin >= 0 && bin < bins) counts[bin]++;
  }
  return counts;
}
