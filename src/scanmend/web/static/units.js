/** Numbers with units, as a person reads them. */

const FINE = { nm: "pm", nA: "pA" };

/** Factor and unit in which values across a range of `span` read well: [1000, "pm"] below 1 nm. */
export const unitFor = (unit, span) => (FINE[unit] && span < 1 ? [1000, FINE[unit]] : [1, unit]);

/** `digits` significant ones, never in powers of ten, with a true minus; a dash for NaN. */
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const shown = Number(value.toPrecision(digits));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(shown) || 1)));
  return shown.toFixed(Math.min(decimals, 6)).replace("-", "−");
}

/** With as many decimals as steps of `step` need. */
export function fixed(value, step) {
  if (!Number.isFinite(value)) return "–";
  const decimals = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  const shown = value.toFixed(decimals);
  return (Number(shown) === 0 ? shown.replace("-", "") : shown).replace("-", "−");
}

/** The longest of 1, 2, 5 times a power of ten that is at most `limit`. */
export function niceLength(limit) {
  const decade = 10 ** Math.floor(Math.log10(limit));
  return Number((Math.max(...[1, 2, 5].filter((m) => m * decade <= limit * (1 + 1e-9))) * decade).toPrecision(1));
}

/** Where an axis from `low` to `high` is marked, at about `count` places. */
export function ticks(low, high, count) {
  const step = niceLength(((high - low) / count) * 2);
  const marks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) marks.push(k * step);
  return { step, marks };
}

/** Electrical values: "−2 V", "50 pA". */
export function electrical(value, unit) {
  const small = Math.abs(value) < 1;
  return small ? `${number(1000 * value)} ${unit === "V" ? "mV" : "pA"}` : `${number(value)} ${unit}`;
}
