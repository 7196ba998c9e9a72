/** The parameters of an experiment as fields: each a value, or a distribution that it is drawn from. */

import { make } from "./frame.js";
import { number } from "./units.js";

const DEFECTS = "defects_per_nm2";
const KINDS = { "": "fixed", uniform: "uniform", log_uniform: "log", normal: "normal", integer: "whole", choice: "choice" };
const ENDS = { normal: ["mean", "standard deviation"] };
const STEPS = 400; // of a slider

/** Tells of "change" whenever its experiment is another one, of "material" when it has other fields. */
export class ExperimentForm extends EventTarget {
  /** As a file has it. */
  experiment = {};

  #fields = [];
  #rows = new Map();
  #open = new Map(); // by table, what a person chose

  /** @param {HTMLFormElement} form */
  constructor(form) {
    super();
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Shows what the server tells of an experiment. */
  show({ experiment, fields }) {
    this.experiment = experiment;
    this.#fields = fields;
    this.#rows.clear();
    const tables = Map.groupBy(fields, (field) => field.table);
    this.form.replaceChildren(
      ...[...tables].map(([table, some]) => (table ? this.#table(table, some) : make("div", {}, ...some.map((f) => this.#row(f))))),
    );
  }

  /** Says beside each distribution what was drawn from it. */
  tell(parameters) {
    for (const { field, drawn } of this.#rows.values()) {
      const value = parameters[field.table]?.[field.key];
      if (drawn?.isConnected) drawn.textContent = `now ${typeof value === "number" ? number(value, 4) : value}`;
    }
  }

  #table(table, fields) {
    const isOpen = this.#open.get(table) ?? fields.some((field) => !same(field.value, field.usual));
    const summary = make("summary", {}, table.replaceAll("_", " ").replace("per nm2", "per nm²"));
    const details = make("details", { open: isOpen }, summary, ...fields.map((field) => this.#row(field)));
    summary.addEventListener("click", () => this.#open.set(table, !details.open)); // before it is
    return details;
  }

  #row(field) {
    const { name, unit, doc, kinds, table, key } = field;
    const id = `${table ?? "experiment"}.${key}`;
    const value = make("div", { className: "value" });
    const kind = make("select", { className: "kind", ariaLabel: `${name}: fixed, or which distribution` });
    kind.append(...["", ...kinds].map((k) => make("option", { value: k }, KINDS[k] ?? k)));
    const row = { field, value, id };
    row.element = make(
      "div",
      { className: "field" },
      make("label", { htmlFor: id, title: [doc, `${table ? `[${table}] ` : ""}${key}, usually ${field.usual}`].filter(Boolean).join("\n") }, name),
      value,
      make("span", { className: "unit" }, unit),
      kinds.length ? kind : "",
    );
    kind.addEventListener("change", () => {
      this.#put(row, kind.value ? spread(field, kind.value) : middle(field));
      this.#fill(row);
    });
    row.kind = kind;
    this.#rows.set(id, row);
    this.#fill(row);
    return row.element;
  }

  /** Puts what edits its value into a row. */
  #fill(row) {
    const { field, value } = row;
    const kind = kindOf(field.value);
    row.kind.value = kind;
    row.drawn = kind ? make("span", {}) : null;
    value.classList.toggle("spread", Boolean(kind));
    row.element.classList.toggle("changed", !same(field.value, field.usual));
    if (kind) value.replaceChildren(...this.#distribution(row, kind));
    else if (field.type === "word") value.replaceChildren(this.#words(row));
    else value.replaceChildren(...this.#number(row));
  }

  #words(row) {
    const { field, id } = row;
    const select = make("select", { id }, ...field.choices.map((word) => make("option", {}, word)));
    select.value = field.value;
    select.addEventListener("change", () => this.#put(row, select.value));
    return select;
  }

  #number(row) {
    const { field, id } = row;
    const input = make("input", { type: "number", id, step: field.type === "whole" ? 1 : "any", value: field.value });
    const slider = field.span && make("input", { type: "range", min: 0, max: STEPS, step: 1, ariaLabel: field.name });
    const place = () => slider && (slider.value = positionOf(field, field.value));
    place();
    input.addEventListener("input", () => {
      if (!valid(input)) return;
      this.#put(row, input.valueAsNumber);
      place();
    });
    slider?.addEventListener("input", () => {
      input.value = valueAt(field, slider.valueAsNumber);
      valid(input);
      this.#put(row, input.valueAsNumber);
    });
    return slider ? [slider, input] : [input];
  }

  #distribution(row, kind) {
    const { field, id } = row;
    const values = field.value[kind];
    const probability = make("input", { type: "number", min: 0, max: 1, step: "any", value: field.value.probability ?? 1, title: "Probability; else the value is 0" });
    probability.ariaLabel = `${field.name}: probability`;
    let inputs;
    if (kind === "choice") inputs = [make("input", { type: "text", id, value: values.join(", "), title: "All to choose from, with commas between" })];
    else {
      const ends = ENDS[kind] ?? ["from", "to"];
      inputs = values.map((v, i) => make("input", { type: "number", step: kind === "integer" ? 1 : "any", value: v, title: ends[i], id: i ? `${id}.to` : id }));
    }
    inputs.forEach((input, i) => (input.ariaLabel = `${field.name}: ${input.title || i}`));
    const all = field.type === "word" ? inputs : [...inputs, probability];
    const put = () => {
      const parts = kind === "choice" ? inputs[0].value.split(",").map((part) => part.trim()) : inputs;
      const read = (part) => (kind !== "choice" ? part.valueAsNumber : field.type === "word" ? part : part === "" ? NaN : Number(part));
      const found = parts.map(read);
      const fine = found.every((v) => typeof v === "string" || Number.isFinite(v));
      inputs[0].classList.toggle("wrong", !fine);
      if (!fine || !(field.type === "word" || valid(probability))) return;
      const chance = field.type === "word" || probability.valueAsNumber === 1 ? {} : { probability: probability.valueAsNumber };
      this.#put(row, { [kind]: found, ...chance });
    };
    for (const input of all) input.addEventListener("input", put);
    const chance = field.type === "word" ? "" : make("label", { title: probability.title }, "p", probability);
    return [...inputs, make("small", {}, row.drawn, chance)];
  }

  /** Takes a value into the experiment. */
  #put(row, value) {
    const { field } = row;
    field.value = value;
    row.element.classList.toggle("changed", !same(value, field.usual));
    const { table, key } = field;
    if (!table) this.experiment[key] = value;
    else if (table === DEFECTS) this.#defects();
    else {
      this.experiment[table] ??= {};
      this.experiment[table][key] = value;
    }
    this.dispatchEvent(new Event(key === "material" ? "material" : "change"));
  }

  /** A table of defects leaves out none that there are: what it does not name, is not there. */
  #defects() {
    const all = this.#fields.filter(({ table }) => table === DEFECTS);
    if (all.every(({ value, usual }) => same(value, usual))) delete this.experiment[DEFECTS];
    else this.experiment[DEFECTS] = Object.fromEntries(all.filter(({ value }) => value !== 0).map(({ key, value }) => [key, value]));
  }
}

const kindOf = (value) => (typeof value === "object" ? Object.keys(value).find((key) => key in KINDS && key) : "");
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function valid(input) {
  const fine = Number.isFinite(input.valueAsNumber);
  input.classList.toggle("wrong", !fine);
  return fine;
}

/** A distribution to begin with, around a value. */
function spread(field, kind) {
  const at = middle(field);
  if (kind === "choice") return { choice: field.choices ? [...field.choices] : [at] };
  const [low, high] = field.span;
  const near = Math.abs(at) / 2 || (high - low) / 10;
  if (kind === "integer") return { integer: [Math.max(0, Math.floor(at - near)), Math.ceil(at + near)] };
  if (kind === "normal") return { normal: [at, short(near / 5)] };
  if (kind === "log_uniform") return { log_uniform: [at > 0 ? at / 2 : short(high / 20), at > 0 ? 2 * at : short(high / 2)] };
  return { uniform: [short(Math.max(at - near, Math.min(low, at))), short(at + near)] };
}

/** A value to begin with, amid a distribution. */
function middle({ value, usual }) {
  const kind = kindOf(value);
  if (!kind) return value;
  const [a, b] = value[kind];
  if (kind === "choice" || kind === "normal") return a;
  if (kind === "integer") return Math.round((a + b) / 2);
  return short(kind === "log_uniform" ? Math.sqrt(a * b) : (a + b) / 2) ?? usual;
}

const short = (value) => Number(value.toPrecision(4));

function positionOf({ span: [low, high], ratio }, value) {
  const share = ratio ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

/** The value at a place of a slider, without more digits than its steps have. */
function valueAt({ span: [low, high], ratio, type }, position) {
  const share = position / STEPS;
  const value = ratio ? low * (high / low) ** share : low + share * (high - low);
  if (type === "whole") return Math.round(value);
  const step = ratio ? value / 100 : (high - low) / STEPS;
  return Number(value.toFixed(Math.max(0, Math.ceil(-Math.log10(step)))));
}
