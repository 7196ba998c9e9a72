/** The page of a watched folder: files as they appear, the last pictures, the state of the tip. */

import { getJSON, query } from "./api.js";
import { CHOICES } from "./colours.js";
import { frame, make } from "./frame.js";
import { thumbnail } from "./opening.js";
import { plot } from "./plot.js";
import { fetchScan } from "./scan.js";
import { Stage } from "./stage.js";
import { number } from "./units.js";

const KEYS = [
  ["j / k", "the next older, newer file"],
  ["g", "show the newest again, as it appears"],
  ["n", "what is shown on the right: restored, removed, spread"],
  ["p / c", "levelling / colours: the next one"],
  ["wheel, + −", "zoom about the pointer"],
  ["drag, arrows", "move the image (arrows: when it has the focus, by Tab)"],
  ["0, double click", "show everything"],
  ["?", "this list"],
];
const COLOURS = { disturbed: "--streaks", jumps_pm: "--jumps", step_pm: "--step", noise_pm: "--noise", finest_nm: "--blur" };
const SAID = { seen: "waiting", growing: "growing", restored: "done", ignored: "left out", failed: "failed" };
const SHOWN = 24; // scans of the tip's chart
const THUMB = 56;

const find = (id) => document.getElementById(id);
const stage = new Stage(find("left"), find("rightCanvas"));

/** @type {Map<string, object>} What was last told of each file, the oldest first. */
let files = new Map();
let items = new Map();
let tips = { tips: [], words: {}, limits: {}, advice: null };
let current = null;
let source = null;
let shown = 0;

const base = () => `api/watched/${find("folder").value}`;

async function watch() {
  source?.close();
  const told = await getJSON(base());
  files = new Map(told.files.reverse().map((file) => [file.name, file]));
  items = new Map();
  current = null;
  find("files").replaceChildren();
  const inside = (path, folder) => path.slice(folder.length + 1);
  find("where").textContent = `${find("folder").selectedOptions[0].text}, results in its folder “${inside(told.output, told.folder)}”`;
  find("where").title = told.folder;
  for (const file of files.values()) list(file);
  count();
  chart(told);
  const last = newest();
  if (last) select(last.name);
  source = new EventSource(query(`${base()}/events`, { after: String(told.number) }));
  source.onmessage = ({ data }) => happen(JSON.parse(data));
  source.onopen = () => complain(null);
  source.onerror = () => complain("scanmend does not answer: is `scanmend serve` still running?");
}

/** Takes in what happened to a file. */
async function happen(event) {
  const { name } = event;
  if (name === ".") return complain(`the folder ${event.why}`);
  const known = files.get(name);
  files.delete(name); // so that it becomes the newest
  if (event.event === "gone") {
    items.get(name)?.remove();
    items.delete(name);
    return count();
  }
  const file = { ...event, output: event.output ?? known?.output };
  files.set(name, file);
  list(file);
  count();
  const isPicture = event.event === "growing" || event.event === "restored";
  const wanted = find("follow").checked && name === newest()?.name;
  if (isPicture && (wanted || name === current || !current)) select(name);
  if (event.event === "restored") chart(await getJSON(base()));
}

const newest = () => inOrder().find((file) => file.output);

/** The newest first, as they are listed. */
const inOrder = () => [...find("files").children].map((item) => files.get(item.firstElementChild.title));

/** Scans are in the order of taking: of a backlog, the newest is restored first. */
const isNewer = (a, b) => a.modified_ns > b.modified_ns;

/** Puts a file into its place in the list. */
function list(file) {
  const { name, event } = file;
  const canvas = items.get(name)?.querySelector("canvas") ?? make("canvas", { width: THUMB, height: THUMB, ariaHidden: "true" });
  if (file.output) thumbnail(canvas, scanUrl(file, "restored", 2 * THUMB));
  const button = make(
    "button",
    { type: "button", className: event, onclick: () => choose(name), title: name },
    canvas,
    make("span", { className: "file" }, name),
    make("span", { className: "state" }, SAID[event]),
    make("span", { className: "said" }, saidOf(file)),
  );
  if (name === current) button.setAttribute("aria-current", "true");
  items.get(name)?.remove();
  const item = make("li", {}, button);
  items.set(name, item);
  const older = [...files.values()].filter((other) => other !== file && items.get(other.name)?.isConnected && !isNewer(other, file));
  const after = older.length ? items.get(older.reduce((a, b) => (isNewer(b, a) ? b : a)).name) : null;
  find("files").insertBefore(item, after);
}

function saidOf({ event, why, seconds, measured_rows, rows, columns, size_bytes, at, frame, frames }) {
  const clock = new Date(at).toLocaleTimeString([], { hour12: false });
  if (why) return `${clock} · ${why}`;
  if (event === "seen") return `${clock} · ${number(size_bytes / 1024)} KiB, being written`;
  const part = measured_rows < rows ? `line ${measured_rows} of ${rows}` : columns ? `${columns} × ${rows}` : "";
  const time = seconds == null ? "" : `picture after ${number(seconds, 2)} s`;
  const which = frame ? `frame ${frame} of ${frames}` : "";
  return [clock, which, part, time].filter(Boolean).join(" · ");
}

function count() {
  const numbers = {};
  for (const { event } of files.values()) numbers[SAID[event]] = (numbers[SAID[event]] ?? 0) + 1;
  find("counts").textContent = Object.entries(numbers).map(([state, n]) => `${n} ${state}`).join(", ") || "no file yet";
}

const scanUrl = (file, name, side) => query(`${base()}/scan`, { file: file.name, name, side });

/** A person's choice: the newest is not shown by itself any more. */
function choose(name) {
  find("follow").checked = name === newest()?.name;
  select(name);
}

/** Shows the pictures of a file. */
async function select(name) {
  current = name;
  for (const [other, item] of items) {
    const button = item.firstElementChild;
    if (other === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  const file = files.get(name);
  find("name").textContent = name;
  const turn = ++shown;
  try {
    const names = file.output ? ["measured", "restored", "spread"] : [];
    const scans = await Promise.all(names.map((scan) => fetchScan(scanUrl(file, scan))));
    if (turn !== shown) return; // another one is wanted by now
    find("empty").hidden = names.length > 0;
    if (names.length) {
      find("levelRow").hidden = scans[0].quantity === "counts"; // they have an origin
      stage.show(new Map(names.map((scan, i) => [scan, scans[i]])));
    } else {
      stage.clear();
      find("empty").textContent = file.why ?? "This file is still being written.";
    }
    complain(null);
  } catch (error) {
    if (turn === shown) complain(error.message);
  }
}

/** Draws the tip's state over the last scans, and says what to do. */
function chart(told) {
  tips = told;
  const last = told.tips.slice(-SHOWN);
  find("tip").hidden = !last.length;
  if (!last.length) return;
  const x = last.map((_, i) => i - last.length + 1);
  const ends = [1 - SHOWN, 0];
  const curves = Object.entries(told.words).map(([name, words]) => ({
    name: words,
    x: last.length === 1 ? [-1, 0] : x, // one alone as a short line
    y: (last.length === 1 ? [last[0], last[0]] : last).map((tip) => tip.excess[name] ?? NaN),
    colour: COLOURS[name],
  }));
  const limit = { name: "limit", x: ends, y: [1, 1], colour: "--quiet" };
  plot(find("chart"), [...curves, limit], "scans ago", "times its limit");
  find("advice").textContent = told.advice ?? "no reason to re-condition";
  find("advice").classList.toggle("bad", Boolean(told.advice));
  const now = last.at(-1);
  const values = {
    disturbed: `${number(100 * now.disturbed, 2)} % of pixels`,
    jumps_pm: `${number(now.jumps_pm, 2)} pm`,
    step_pm: `${number(now.step_pm, 2)} pm`,
    noise_pm: `${number(now.noise_pm, 2)} pm`,
    finest_nm: `finest detail ${number(now.finest_nm, 2)} nm`,
  };
  find("now").replaceChildren(
    ...Object.entries(told.words).map(([name, words]) =>
      make("div", { className: (now.excess[name] ?? 0) > 1 ? "bad" : "" }, make("dt", {}, words), make("dd", {}, values[name])),
    ),
  );
}

function complain(message) {
  find("trouble").hidden = !message;
  find("trouble").textContent = message ?? "";
}

function step(by) {
  const names = inOrder().map((file) => file.name);
  const at = names.indexOf(current) + by;
  if (!(at in names)) return;
  choose(names[at]);
  items.get(names[at]).firstElementChild.scrollIntoView({ block: "nearest" });
}

/** The next choice of a select, as a key asks for it. */
function next(id) {
  const select = find(id);
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
  select.dispatchEvent(new Event("change"));
}

find("colours").append(...CHOICES.map((name) => make("option", {}, name)));
find("level").addEventListener("change", ({ target }) => {
  stage.level = target.value;
  stage.relevel();
});
for (const property of ["colours", "right"]) {
  find(property).addEventListener("change", ({ target }) => {
    stage[property] = target.value;
    find("rightTitle").textContent = stage.right;
    stage.refresh();
  });
}
find("fit").addEventListener("click", () => stage.view.fit());
find("folder").addEventListener("change", watch);
find("follow").addEventListener("change", ({ target }) => target.checked && newest() && select(newest().name));
document.addEventListener("themechange", () => chart(tips));
addEventListener("resize", () => chart(tips));
frame(KEYS, {
  j: () => step(1),
  k: () => step(-1),
  g: () => find("follow").click(),
  n: () => next("right"),
  p: () => next("level"),
  c: () => next("colours"),
  0: () => stage.view.fit(),
});
try {
  const { folders } = await getJSON("api/watched");
  find("folder").replaceChildren(...folders.map(({ id, name }) => make("option", { value: String(id) }, name)));
  find("folder").hidden = folders.length < 2;
  if (folders.length) await watch();
  else complain("No folder is watched: start `scanmend serve --watch FOLDER`.");
} catch (error) {
  complain(error.message);
}
document.documentElement.dataset.ready = "";
