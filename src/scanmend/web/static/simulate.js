/** The simulator's page: an experiment at the left, what comes of it at the right, as it changes. */

import { getJSON, post, request } from "./api.js";
import { CHOICES, table } from "./colours.js";
import { ExperimentForm } from "./experiment.js";
import { frame, make } from "./frame.js";
import { FEW, fitPlane, levelsOf, subtractLines, subtractPlane } from "./levels.js";
import { Mapped } from "./mapped.js";
import { plot } from "./plot.js";
import { Renderings } from "./rendering.js";
import { sizeOf, valueAt, withValues } from "./scan.js";
import { fixed, number, unitFor } from "./units.js";
import { View } from "./view.js";
import { Picture } from "./viewer.js";

const KEYS = [
  ["e", "the next experiment that comes along"],
  ["n / b", "the next, the previous scan: another piece of surface"],
  ["d", "trace or retrace"],
  ["p / c", "levelling / colours: the next one"],
  ["m / w", "mark defects / show the tip's way"],
  ["o / s", "open / save a .toml"],
  ["x", "end a rendering that takes long"],
  ["Tab, arrows", "from field to field; sliders and numbers go up and down"],
  ["wheel, + −", "zoom about the pointer"],
  ["drag, arrows", "move the images (arrows: when one has the focus)"],
  ["0, double click", "show everything"],
  ["?", "this list"],
];
const SUFFIXES = { ".sxm": "scan .sxm", ".nc": ".nc", ".gwy": ".gwy", ".truth.nc": "truth .nc", ".json": "all about it .json" };
const NEAR_NM = 0.22; // within which the pointer means a defect

const find = (id) => document.getElementById(id);
const view = new View();
const form = new ExperimentForm(find("fields"));
const renderings = new Renderings();
let name = "";

const viewers = Object.fromEntries(["surface", "current", "topograph", "scan"].map((id) => [id, new Mapped(find(id), view)]));
let shown = new Map();

/** Asks for the scan that the page describes. */
function want() {
  const [seed, which] = ["seed", "number"].map((id) => find(id).valueAsNumber);
  if (!Number.isInteger(seed) || !Number.isInteger(which)) return;
  find("panes").dataset.wanted = String(renderings.want(question()));
}

const question = () => ({ name, experiment: form.experiment, seed: find("seed").valueAsNumber, number: find("number").valueAsNumber });

/** Opens what the server tells of an experiment. */
function open(told) {
  name = told.name;
  find("name").textContent = name;
  form.show(told);
  complain("trouble", null);
  renderings.begin();
  want();
}

/** Does it, or says why not. */
async function trying(action) {
  try {
    complain("trouble", null);
    await action();
  } catch (error) {
    complain("trouble", error.message);
  }
}

function complain(where, message) {
  find(where).hidden = !message;
  find(where).textContent = message ?? "";
}

/** Shows the newest rendering, in the colours and at the levels that are chosen. */
function refresh() {
  const { rendered } = renderings;
  if (!rendered) return;
  const direction = find("direction").value;
  const colours = table(find("colours").value);
  shown = new Map();
  for (const [id, viewer] of Object.entries(viewers)) {
    const scan = rendered.images.get(id === "scan" ? direction : id);
    const image = id === "topograph" || id === "scan" ? levelled(scan) : scan;
    shown.set(id, image);
    const [low, high] = levelsOf(FEW, image.values);
    const picture = new Picture(image);
    picture.paint(image.values, low, high, colours);
    viewer.pictures = [picture];
    const place = id === "scan" ? direction : "surface";
    const places = find("marks").checked ? rendered.defects.map((defect) => defect[place]).filter(Boolean) : [];
    viewer.rings = places.map(([x, y]) => ({ at: [y, x], colour: "#fff" }));
    viewer.way = find("way").checked && id === "surface" ? wayOf(rendered) : null;
    const [factor, unit] = unitFor(image.unit, high - low);
    const height = id === "current" ? `z ${number(1000 * rendered.height_nm, 3)} pm, ` : "";
    const title = id === "scan" ? `scan, ${direction}` : id === "topograph" ? "ideal topograph" : id;
    const range = make("small", { title: "From dark to light" }, `${height}${number(factor * (high - low), 3)} ${unit}`);
    find(id).previousElementSibling.replaceChildren(title, range);
    viewer.redraw();
  }
  view.bound(0, 0, ...sizeOf(rendered.images.get("surface")));
  readout();
}

function wayOf({ curves, rows, columns, parameters }) {
  return [curves.get("x"), curves.get("y"), parameters.frame.fast_axis === "x" ? rows : columns];
}

function levelled(scan) {
  const level = find("level").value;
  if (level === "none") return scan;
  const flat = withValues(scan, subtractPlane(scan, fitPlane(scan)));
  return level === "lines" ? withValues(flat, subtractLines(flat)) : flat;
}

/** Draws where the tip was, and the error of its loop. */
function curves() {
  const { rendered } = renderings;
  if (!rendered) return;
  const get = (key) => rendered.curves.get(key);
  const x = get("time");
  const pm = (key) => get(key).map((v) => 1000 * v);
  const astray = [["x", "astray x", "--measured"], ["y", "astray y", "--restored"], ["sample nearer by", "nearer", "--draw"]];
  plot(find("astray"), astray.map(([title, key, colour]) => ({ name: title, x, y: pm(key), colour })), "time (s)", "tip astray (pm)");
  const isLog = rendered.parameters.electronics.amplifier === "log";
  const error = get("error");
  const rms = Math.sqrt(error.reduce((sum, e) => sum + e * e, 0) / error.length);
  const title = `error of the loop, ${isLog ? "ln(I / I₀)" : "I / I₀ − 1"}, rms ${number(rms, 2)}`;
  plot(find("loop"), [{ name: title, x, y: error, colour: "--measured" }], "time (s)", "error");
  find("loop").dataset.points = String(x.length); // a canvas cannot be read
}

/** What is under the pointer. */
function readout() {
  const at = view.pointer;
  if (!at) {
    find("readout").textContent = shown.size ? "Point at an image to read its values." : "";
    return;
  }
  const { pixel } = shown.get("surface");
  const parts = [["x", `${fixed(at[1], pixel[1] / 10)} nm`], ["y", `${fixed(at[0], pixel[0] / 10)} nm`]];
  for (const [id, image] of shown) {
    const [factor, unit] = [1000, image.unit === "nA" ? "pA" : "pm"];
    parts.push([id, `${fixed(factor * valueAt(image, ...at), 0.1)} ${unit}`]);
  }
  const near = renderings.rendered.defects.find(({ surface: [x, y] }) => Math.hypot(x - at[1], y - at[0]) < NEAR_NM);
  if (near) parts.push(["defect", near.kind]);
  find("readout").replaceChildren(...parts.map(([title, text]) => make("span", {}, make("i", {}, title), text)));
}

renderings.addEventListener("done", () => {
  const { rendered } = renderings;
  const panes = find("panes");
  panes.removeAttribute("data-empty");
  panes.dataset.state = "done";
  find("stop").hidden = true;
  find("empty").hidden = true;
  complain("error", null);
  complain("fault", rendered.fault && `Marked: ${rendered.fault}.`);
  form.tell(rendered.parameters);
  refresh();
  requestAnimationFrame(() => {
    setTimeout(curves); // once the images are there
    const whole = performance.now() - rendered.asked;
    find("took").textContent = `calculated in ${rendered.milliseconds.toFixed(0)} ms, shown after ${whole.toFixed(0)} ms`;
    panes.dataset.milliseconds = whole.toFixed(1);
    panes.dataset.calculated = String(rendered.milliseconds);
    panes.dataset.turn = String(rendered.turn);
  });
});
renderings.addEventListener("failed", () => {
  find("panes").dataset.state = "failed";
  find("stop").hidden = true;
  find("empty").hidden = true;
  find("took").textContent = "";
  complain("error", renderings.message);
});
renderings.addEventListener("waiting", () => {
  find("panes").dataset.state = "waiting";
  find("stop").hidden = false;
  const first = find("panes").hasAttribute("data-empty");
  find("empty").hidden = !first;
  find(first ? "empty" : "took").textContent = renderings.message;
});

form.addEventListener("change", want);
form.addEventListener("material", () =>
  trying(async () => {
    const { electrons, defects_per_nm2, ...kept } = form.experiment; // they are another material's
    open(await post("api/simulator/experiment", { name, experiment: kept }));
  }),
);
for (const id of ["seed", "number"]) find(id).addEventListener("input", want);
for (const id of ["direction", "level", "colours", "marks", "way"]) find(id).addEventListener("change", refresh);
view.addEventListener("point", readout);
document.addEventListener("themechange", curves);
new ResizeObserver(curves).observe(find("loop"));

/** Another choice of a select, or the other state of a box, as a key asks for it. */
function next(id) {
  const control = find(id);
  if (control.type === "checkbox") control.checked = !control.checked;
  else control.selectedIndex = (control.selectedIndex + 1) % control.options.length;
  control.dispatchEvent(new Event("change"));
}

function step(by) {
  find("number").value = Math.max(0, (find("number").valueAsNumber || 0) + by);
  want();
}

async function openFile(file) {
  if (!file) return;
  const stem = file.name.replace(/\.toml$/i, "").replace(/[^A-Za-z0-9_. -]/g, "_").replace(/^[^A-Za-z0-9_]/, "_").slice(0, 80);
  open(await post("api/simulator/experiment", { name: stem || "experiment", toml: await file.text() }));
  find("preset").selectedIndex = -1;
}

/** Has the browser save what the server answers, under the name that it says. */
async function download(url, body) {
  const response = await request(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const named = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition"))[1];
  const link = make("a", { href: URL.createObjectURL(await response.blob()), download: named });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const save = () => trying(() => download("api/simulator/toml", { name, experiment: form.experiment }));
find("save").addEventListener("click", save);
find("stop").addEventListener("click", () => renderings.stop());
find("fit").addEventListener("click", () => view.fit());
find("file").addEventListener("change", ({ target }) => trying(() => openFile(target.files[0])).then(() => (target.value = "")));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  find("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  trying(() => openFile(event.dataTransfer.files[0]));
});
for (const [suffix, title] of Object.entries(SUFFIXES)) {
  const ask = () => trying(() => download(`api/simulator/file?suffix=${suffix}`, question()));
  find("took").before(make("button", { type: "button", onclick: ask }, title));
}
find("colours").append(...CHOICES.map((choice) => make("option", {}, choice)));
find("preset").addEventListener("change", ({ target }) => trying(async () => open(await getJSON(`api/simulator/presets/${target.value}`))));
frame(KEYS, {
  e: () => next("preset"),
  n: () => step(1),
  b: () => step(-1),
  d: () => next("direction"),
  p: () => next("level"),
  c: () => next("colours"),
  m: () => next("marks"),
  w: () => next("way"),
  o: () => find("file").click(),
  s: save,
  x: () => renderings.stop(),
  0: () => view.fit(),
});
await trying(async () => {
  const { presets } = await getJSON("api/simulator/presets");
  find("preset").replaceChildren(...presets.map((preset) => make("option", {}, preset)));
  find("preset").value = presets.includes("luzny-wse2-main") ? "luzny-wse2-main" : presets[0];
  open(await getJSON(`api/simulator/presets/${find("preset").value}`));
});
document.documentElement.dataset.ready = "";
