/** The restore page: opened scans, what is asked for them, and what is shown. */

import { getJSON, query } from "./api.js";
import { controls } from "./controls.js";
import * as marking from "./defects.js";
import { frame, make } from "./frame.js";
import * as opening from "./opening.js";
import { fetchScan } from "./scan.js";
import { Stage } from "./stage.js";
import * as task from "./task.js";

const KEYS = [
  ["o", "choose files to open; or drop them anywhere"],
  ["r / s", "restore / stop"],
  ["[ / ]", "previous, next opened scan"],
  [", / .", "previous, next frame of a series"],
  ["v", "side by side, or a slider between measured and restored"],
  ["n", "what is shown on the right: restored, removed, spread, draws"],
  ["f", "surface or Fourier transform"],
  ["m", "mark doubtful regions, the spread, nothing"],
  ["d", "defects: none, or who finds them"],
  ["p / c", "levelling / colours: the next one"],
  ["a", "automatic levels"],
  ["wheel, + −", "zoom about the pointer"],
  ["drag, arrows", "move the image (arrows: when it has the focus, by Tab)"],
  ["0, double click", "show everything"],
  ["Shift + arrows", "move the pointer of the readout pixel by pixel"],
  ["Shift + drag", "draw a line for profiles; l has every drag draw one"],
  ["Alt + arrows", "move the line's end; x exchanges its ends; Escape removes it"],
  ["?", "this list"],
];

const find = (id) => document.getElementById(id);
const stage = new Stage(find("left"), find("rightCanvas"));
const show = controls(stage);
const defects = marking.defects(stage, () => current, task.which);

/** @type {object[]} Opened scans: name, file, image, frame, scale, scans, job, and why one failed. */
const works = [];
let current = null;
let about = null;

/** Opens what `fetchFile` promises, and begins, if that is wished. */
async function open(name, fetchFile) {
  const work = { name, frame: 1, scans: new Map(), job: null, error: null, scale: {} };
  works.push(work);
  if (!current || current.file || current.error) select(work);
  list();
  try {
    work.file = await fetchFile();
    work.images = opening.imagesOf(work.file);
    work.image = work.images[0];
  } catch (error) {
    work.error = error.message;
  }
  list();
  if (work === current) await select(work);
  begins(work);
}

function begins(work) {
  if (work.error || !task.beginsAtOnce() || task.lacksScale(work.image.channel, work.scale)) return;
  if (task.knows(work)) run(work);
}

/** Shows an opened scan, and fetches what is not here yet. */
async function select(work) {
  current = work;
  list();
  find("about").hidden = find("task").hidden = !work.file;
  find("name").textContent = work.name;
  task.report(work.job);
  task.complain(work.error ?? work.job?.error);
  if (!work.scans.size) blank();
  if (!work.file) return;
  ask(work);
  await load(work);
}

/** Shows the choices that an image leaves. */
function ask(work) {
  task.askScale(work);
  task.suit(work);
  opening.thumbnails(work, (image) => choose(work, image));
  opening.frames(work);
}

/** Another channel, direction or frame of the same file, or another scale. */
async function choose(work, image, frame = 1, scale = work.scale) {
  await forget(work);
  Object.assign(work, { image, frame, scale });
  task.report(null);
  task.complain(null);
  ask(work);
  blank();
  await load(work);
  begins(work);
}

/** Shows no scan, while there is none. */
function blank() {
  find("facts").replaceChildren();
  find("warnings").hidden = true;
  show(new Map());
  defects.look();
}

/** Drops what was made of a scan, and stops what is being made. */
async function forget(work) {
  const { job } = work;
  Object.assign(work, { scans: new Map(), job: null, error: null });
  if (job && task.isBusy(job)) await task.stop(job.id).catch(() => {});
}

/** Fetches the scans that there are of a work, and shows them if it is still wanted. */
async function load(work) {
  const { scans, job } = work;
  if (task.lacksScale(work.image.channel, work.scale)) return;
  try {
    if (!scans.has("measured")) {
      scans.set("measured", await fetchScan(query(`api/files/${work.file.id}/scan`, task.which(work))));
    }
    if (work === current && scans === work.scans) present(work);
    const more = job?.state === "done" ? job.scans.filter((name) => !scans.has(name)) : [];
    const found = await Promise.all(more.map((name) => fetchScan(query(`api/jobs/${job.id}/scan`, { name }))));
    more.forEach((name, i) => scans.set(name, found[i]));
    if (more.length && work === current && scans === work.scans) present(work);
  } catch (error) {
    if (scans !== work.scans) return; // another image is wanted by now
    work.error = error.message;
    list();
    if (work === current) task.complain(error.message);
  }
}

function present(work) {
  opening.facts(work, work.scans.get("measured"));
  if (work.job?.state === "done") task.offerResult(work.job, about.suffixes);
  show(work.scans, work.job?.verdict);
  defects.look();
}

/** Restores a work as the form says, and shows the result when it is there. */
async function run(work) {
  const { scans } = work;
  for (const name of [...scans.keys()]) if (name !== "measured") scans.delete(name);
  work.error = null;
  const tell = (job) => {
    if (scans !== work.scans) return;
    work.job = job;
    if (work === current) task.report(job);
    list();
  };
  try {
    if (work.job && task.isBusy(work.job)) await task.stop(work.job.id);
    const id = await task.begin(work);
    tell({ id, state: "waiting", progress: 0 });
    const job = await task.follow(id, (now) => work.job.id === id && tell(now));
    if (work.job?.id !== id || scans !== work.scans) return;
    if (job.state === "done" && work === current) await load(work);
  } catch (error) {
    work.error = error.message;
    if (work === current) task.complain(work.error);
    list();
  }
}

/** The opened scans with their states; one alone needs no list. */
function list() {
  find("queue").hidden = works.length < 2;
  find("queue").replaceChildren(
    ...works.map((work) => {
      const state = work.error ? "failed" : (work.job?.state ?? (work.file ? "opened" : "reading"));
      const said = state === "running" ? `${Math.round(100 * work.job.progress)} %` : state;
      const button = make("button", { type: "button", className: "link", onclick: () => select(work) }, work.name);
      if (work === current) button.setAttribute("aria-current", "true");
      return make("li", { className: state, title: work.error ?? work.job?.error ?? "" }, button, make("span", {}, said));
    }),
  );
}

function step(by) {
  const at = works.indexOf(current) + by;
  if (at in works) select(works[at]);
}

/** Reads the scan anew with the scale that was typed. */
const reread = () => choose(current, current.image, current.frame, task.typedScale());

/** Shows a frame of a series, if there is one of that number. */
function turn(to) {
  if (to >= 1 && to <= current?.image?.channel.frames) choose(current, current.image, to);
}

const actions = {
  o: () => find("file").click(),
  r: () => find("task").requestSubmit(),
  s: () => current?.job && task.isBusy(current.job) && task.stop(current.job.id),
  "[": () => step(-1),
  "]": () => step(1),
  ",": () => turn(current?.frame - 1),
  ".": () => turn(current?.frame + 1),
  d: defects.next,
};

frame(KEYS, actions);
opening.listen(open);
find("task").addEventListener("submit", (event) => {
  event.preventDefault();
  if (current?.file) run(current);
});
find("stop").addEventListener("click", actions.s);
find("reread").addEventListener("click", reread);
find("frame").addEventListener("change", ({ target }) => turn(target.valueAsNumber));
try {
  about = await getJSON("api/about");
  task.offer(about.models, about.lattices);
  marking.offer(about.finders);
  opening.browse(about.folders, open, (error) => task.complain(error.message));
} catch (error) {
  task.complain(error.message);
}
document.documentElement.dataset.ready = "";
