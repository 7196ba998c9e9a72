/** What is asked for: the form, and a job from the request to its end. */

import { follow, post, query, request } from "./api.js";
import { make } from "./frame.js";
import { number } from "./units.js";

const find = (id) => document.getElementById(id);
const form = find("task");
const KINDS = { counts: "counts", A: "current", nA: "current", pA: "current" };
let models = [];
let quantity = "height"; // of the scan that is shown
const chosen = new Map(); // names of models, by quantity

/** Keeps the models and lattices that there are, and listens to what is chosen. */
export function offer(known, lattices) {
  models = known;
  const options = Object.entries(lattices).map(([value, name]) => make("option", { value }, name));
  form.elements.lattice.append(...options);
  form.elements.model.addEventListener("change", ({ target }) => {
    chosen.set(quantity, target.value);
    tasks();
  });
  form.elements.job.addEventListener("change", tasks);
  form.elements.atOnce.checked = localStorage.getItem("atOnce") !== "no";
  form.elements.atOnce.addEventListener("change", ({ target }) => {
    localStorage.setItem("atOnce", target.checked ? "yes" : "no");
  });
}

/** Offers what can be done to an image: the models for what it measures, and their tasks. */
export function suit(work) {
  quantity = quantityOf(work) ?? quantity;
  const { model } = form.elements;
  model.replaceChildren(...modelsFor(quantity).map(({ name }) => make("option", {}, name)));
  model.value = modelFor(quantity)?.name ?? "";
  find("noModel").textContent = none(quantity);
  find("noModel").hidden = modelFor(quantity) !== undefined;
  for (const control of [model, form.elements.job, find("go")]) control.disabled = !modelFor(quantity);
  tasks();
}

/** The tasks of the chosen model, and what it can be told besides. */
function tasks() {
  const { factors, told, axes } = modelFor(quantity) ?? { factors: [], axes: [] };
  const finer = (factor) => (axes.length === 1 ? `${factor} lines for one` : `${factor} × ${factor} for one`);
  const { job } = form.elements;
  const kept = job.value;
  job.replaceChildren(
    ...factors.map((factor) => make("option", { value: factor }, factor === 1 ? "restore" : `upscale: ${finer(factor)}`)),
  );
  if (factors.includes(Number(kept))) job.value = kept;
  find("ghostsRow").hidden = !told;
  find("mendRow").hidden = !told || job.value === "1";
  find("go").textContent = job.value === "1" || !job.value ? "Restore" : "Upscale";
}

const modelsFor = (of) => models.filter((model) => model.quantity.toLowerCase() === of);
const modelFor = (of) => modelsFor(of).find(({ name }) => name === chosen.get(of)) ?? modelsFor(of)[0];
const none = (of) => `No model here is for scans in ${of}: start scanmend serve --model FILE.onnx.`;

/** What an image measures, as far as its file or the user says it. */
const quantityOf = ({ image: { channel }, scale }) =>
  channel.quantity?.toLowerCase() ?? (scale.unit ? (KINDS[scale.unit] ?? "height") : null);

export const beginsAtOnce = () => form.elements.atOnce.checked;

/** Whether there is a model for what an image measures. */
export const knows = (work) => modelFor(quantityOf(work)) !== undefined;

/** Which image the server is asked for, as {channel, direction, frame, size_nm, unit, lattice}. */
export const which = ({ image: { channel, direction }, frame, scale }) => ({
  channel: channel.name,
  direction: direction ?? undefined,
  frame: channel.frames ? frame : undefined,
  ...scale,
});

/** Whether neither the file nor the user has said how large a scan is, or in which unit. */
export const lacksScale = (channel, scale) =>
  !(channel.size_nm || scale.size_nm || scale.lattice) || !(channel.quantity || scale.unit);

/** Shows the fields for what an image's file does not say, and of counts, the lattice. */
export function askScale(work) {
  const { image: { channel }, scale } = work;
  const [width, height] = scale.size_nm?.split(",") ?? ["", ""];
  const { width_nm, height_nm, unit, lattice } = form.elements;
  [width_nm.value, height_nm.value, unit.value] = [width, height, scale.unit ?? ""];
  [height_nm.placeholder, width_nm.placeholder] = channel.size_nm?.map((side) => number(side)) ?? ["", ""];
  lattice.value = scale.lattice ?? "";
  const [says, counts] = [channel.size_nm && channel.quantity, ["counts", null].includes(quantityOf(work))];
  find("scale").hidden = says && !counts;
  find("lacking").textContent = says ? "Scale" : "The file does not say";
  find("size").hidden = channel.size_nm && !counts;
  find("unit").hidden = channel.quantity;
  find("lattice").hidden = !counts;
}

/** What was typed there, for `which`; a height that is left out is the width. */
export function typedScale() {
  const { width_nm, height_nm, unit, lattice } = form.elements;
  const typed = ({ value }) => value.trim().replace(",", ".");
  const width = typed(width_nm);
  return {
    ...(width && { size_nm: `${width},${typed(height_nm) || width}` }),
    ...(unit.value && { unit: unit.value }),
    ...(lattice.value && { lattice: lattice.value }),
  };
}

/** The choices of the form, as a job for this image is asked for. */
function wish(work) {
  const { job, calls, draws, ghosts, mend } = form.elements;
  const model = modelFor(quantityOf(work));
  if (!model) throw new Error(none(quantityOf(work)));
  const factor = model.factors.includes(Number(job.value)) ? Number(job.value) : model.factors[0];
  return {
    task: factor === 1 ? "restore" : "upscale",
    ...(factor === 1 ? {} : { factor, mend: mend.checked && model.told }),
    model: model.name,
    ...(calls.value ? { calls: calls.valueAsNumber } : {}),
    draws: draws.valueAsNumber || 0,
    ghosts: ghosts.checked && model.told,
  };
}

/** Starts a job on a scan; gives back its id. */
export const begin = async (work) =>
  (await post(`api/files/${work.file.id}/jobs`, { ...which(work), ...wish(work) })).id;

export const isBusy = ({ state }) => state === "waiting" || state === "running";

/** Follows a job to its end. */
export { follow };

export const stop = (id) => request(`api/jobs/${id}`, { method: "DELETE" });

/** Shows a job's state; null for none. */
export function report(job) {
  const busy = job !== null && isBusy(job);
  find("progress").hidden = find("stop").hidden = !busy;
  find("progress").value = job?.progress ?? 0;
  Object.assign(form.dataset, { state: job?.state ?? "", job: job?.id ?? "" });
  const took = job?.seconds == null ? "" : ` in ${job.seconds.toFixed(2)} s`;
  const said = {
    waiting: "waiting for its turn",
    running: `${Math.round(100 * (job?.progress ?? 0))} %`,
    done: `done${took}`,
    stopped: "stopped",
    failed: "",
  };
  find("state").textContent = said[job?.state] ?? "";
  complain(job?.state === "failed" ? job.error : null);
  find("result").hidden = job?.state !== "done";
}

/** Shows what went wrong, in one line; null for nothing. */
export function complain(line) {
  find("error").hidden = find("trouble").hidden = true;
  const place = form.hidden ? find("trouble") : find("error");
  place.textContent = line ?? "";
  place.hidden = !line;
}

/** Notes on a result, and links to save it. */
export function offerResult(job, suffixes) {
  find("notes").replaceChildren(...(job.verdict?.notes ?? []).map((note) => make("li", {}, note)));
  const names = { ".html": "report", ".png": "figure" };
  const fit = suffixes.filter((suffix) => suffix !== ".sxm" || job.verdict?.unit !== "counts"); // which it cannot hold
  find("save").replaceChildren(
    ...fit.map((suffix) => {
      const href = query(`api/jobs/${job.id}/file`, { suffix });
      return make("a", { href, download: "", title: `Save as ${suffix}` }, names[suffix] ?? suffix);
    }),
  );
}
