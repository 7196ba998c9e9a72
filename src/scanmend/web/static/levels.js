/** Levelling and contrast: of the picture only, never of what is saved. NaN was not measured. */

const CRASH = 30; // how many times farther off than half of all pixels must not tilt the plane
const ENOUGH = 32768; // pixels that decide a contrast

/** Percentiles (0 to 100) as NumPy's: linear between neighbours. NaN where nothing was measured. */
export function percentiles(values, shares) {
  const known = measured(values);
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

/** A copy of what was measured. Loops, here and below: a call for every pixel costs ten times as much. */
function measured(values) {
  const known = new values.constructor(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === values[i]) known[count++] = values[i];
  return known.subarray(0, count);
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

/** At most `ENOUGH` of the values, evenly: by an odd stride, which seldom divides a width. */
function sample(values) {
  if (values.length <= ENOUGH) return values;
  const stride = Math.ceil(values.length / ENOUGH) | 1;
  const some = new Float32Array(Math.floor(values.length / stride));
  for (let i = 0; i < some.length; i++) some[i] = values[i * stride];
  return some;
}

/**
 * The least-squares plane [c, u, v] through what was measured: c + u·x + v·y, x and y from -1 to 1
 * across the field of view. Pixels that a tip crash threw far off do not tilt it.
 */
export function fitPlane(scan) {
  const plane = leastSquares(scan, null, Infinity);
  const off = subtractPlane(scan, plane);
  let most = 0;
  for (let i = 0; i < off.length; i++) {
    off[i] = Math.abs(off[i]);
    if (off[i] > most) most = off[i];
  }
  const far = CRASH * percentiles(sample(off), [50])[0];
  return most > far ? leastSquares(scan, off, far) : plane;
}

function leastSquares({ values, rows, columns }, off, far) {
  const a = [0, 0, 0, 0, 0, 0]; // sums of 1, x, y, xx, xy, yy
  const b = [0, 0, 0]; // sums of z, zx, zy
  for (let i = 0, at = 0; i < rows; i++) {
    const y = (2 * i + 1) / rows - 1;
    let n = 0, sx = 0, sxx = 0, sz = 0, szx = 0;
    for (let j = 0; j < columns; j++, at++) {
      const z = values[at];
      if (z !== z || (off && off[at] > far)) continue;
      const x = (2 * j + 1) / columns - 1;
      n++;
      sx += x;
      sxx += x * x;
      sz += z;
      szx += z * x;
    }
    a[0] += n; a[1] += sx; a[2] += n * y; a[3] += sxx; a[4] += sx * y; a[5] += n * y * y;
    b[0] += sz; b[1] += szx; b[2] += sz * y;
  }
  return solve([[a[0], a[1], a[2], b[0]], [a[1], a[3], a[4], b[1]], [a[2], a[4], a[5], b[2]]]);
}

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
  for (let i = 0, at = 0; i < rows; i++) {
    const start = c + v * ((2 * i + 1) / rows - 1) + u * (1 / columns - 1);
    const step = (2 * u) / columns;
    for (let j = 0; j < columns; j++, at++) out[at] = values[at] - start - step * j;
  }
  return out;
}

/** The values with every line's median at 0. */
export function subtractLines({ values, rows, columns }) {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++) {
    const line = values.subarray(i * columns, (i + 1) * columns);
    const [median] = percentiles(line, [50]);
    for (let j = 0; j < columns; j++) out[i * columns + j] = line[j] - median;
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
