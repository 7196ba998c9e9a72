/** What is asked for: the form, and a job from the request to its end. */

import { follow, post, query, request } from "./api.js";
import { make } from "./frame.js";

const find = (id) => document.getElementById(id);
const form = find("task");
let models = [];

/** Fills the choices with the models that there are. */
export function offer(known) {
  models = known;
  const model = form.elements.model;
  model.replaceChildren(...models.map(({ name }) => make("option", {}, name)));
  const tasks = () => {
    const { factors, told } = models.find(({ name }) => name === model.value);
    const kept = form.elements.job.value;
    const options = factors.map((factor) =>
      make("option", { value: factor }, factor === 1 ? "restore" : `upscale: ${factor} lines for one`),
    );
    form.elements.job.replaceChildren(...options);
    if (factors.includes(Number(kept))) form.elements.job.value = kept;
    find("ghostsRow").hidden = !told;
    find("mendRow").hidden = !told || form.elements.job.value === "1";
    find("go").textContent = form.elements.job.value === "1" ? "Restore" : "Upscale";
  };
  model.addEventListener("change", tasks);
  form.elements.job.addEventListener("change", tasks);
  form.elements.atOnce.checked = localStorage.getItem("atOnce") !== "no";
  form.elements.atOnce.addEventListener("change", ({ target }) => {
    localStorage.setItem("atOnce", target.checked ? "yes" : "no");
  });
  tasks();
}

export const beginsAtOnce = () => form.elements.atOnce.checked;

/** Whether the chosen model was trained on what a channel measures. */
export function knows({ quantity }) {
  const wanted = models.find(({ name }) => name === form.elements.model.value)?.quantity;
  return !wanted || wanted.toLowerCase() === quantity?.toLowerCase();
}

/** Which image of a file the server is asked for, as {channel, direction, size_nm, unit}. */
export const which = ({ image: { channel, direction }, scale }) => ({
  channel: channel.name,
  direction: direction ?? undefined,
  ...scale,
});

/** Whether neither the file nor the user has said how large a scan is, or in which unit. */
export const lacksScale = (channel, scale) =>
  !(channel.size_nm || scale.size_nm) || !(channel.quantity || scale.unit);

/** Shows the fields for what a channel's file does not say. */
export function askScale(channel, scale) {
  const [width, height] = scale.size_nm?.split(",") ?? ["", ""];
  const { width_nm, height_nm, unit } = form.elements;
  [width_nm.value, height_nm.value, unit.value] = [width, height, scale.unit ?? ""];
  find("scale").hidden = channel.size_nm && channel.quantity;
  find("size").hidden = channel.size_nm;
  find("unit").hidden = channel.quantity;
}

/** What was typed there, for `which`; a height that is left out is the width. */
export function typedScale() {
  const { width_nm, height_nm, unit } = form.elements;
  const number = ({ value }) => value.trim().replace(",", ".");
  const width = number(width_nm);
  return {
    ...(width && { size_nm: `${width},${number(height_nm) || width}` }),
    ...(unit.value && { unit: unit.value }),
  };
}

/** The choices of the form, as a job is asked for. */
function wish() {
  const { job, model, calls, draws, ghosts, mend } = form.elements;
  const factor = Number(job.value);
  return {
    task: factor === 1 ? "restore" : "upscale",
    ...(factor === 1 ? {} : { factor, mend: mend.checked && !find("mendRow").hidden }),
    model: model.value,
    ...(calls.value ? { calls: calls.valueAsNumber } : {}),
    draws: draws.valueAsNumber || 0,
    ghosts: ghosts.checked && !find("ghostsRow").hidden,
  };
}

/** Starts a job on a scan; gives back its id. */
export const begin = async (work) =>
  (await post(`api/files/${work.file.id}/jobs`, { ...which(work), ...wish() })).id;

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
  find("save").replaceChildren(
    ...suffixes.map((suffix) => {
      const href = query(`api/jobs/${job.id}/file`, { suffix });
      return make("a", { href, download: "", title: `Save as ${suffix}` }, names[suffix] ?? suffix);
    }),
  );
}
