/** The page of a study's owner: its link, how far its raters are, its results; making one. */

import { getJSON, post, query } from "./api.js";
import { CHOICES } from "./colours.js";
import { frame, make } from "./frame.js";

const LOOK_MS = 1000;
const KEYS = [
  ["[ / ]", "the previous, the next study"],
  ["y", "copy the link for raters"],
  ["?", "this list"],
];

const find = (id) => document.getElementById(id);
let shown = null; // the study, and what its raters had said, whose results are shown
let making = null;

const base = () => `api/studies/${find("study").value}`;
const address = (kind, token) => `${new URL("rate/", location.href)}#${kind}=${token}`;

/** Lists the studies that are open, and chooses one of them. */
async function list(chosen) {
  const told = await getJSON("api/studies");
  const select = find("study");
  select.replaceChildren(...told.studies.map(({ id, title, name }) => make("option", { value: String(id), title: `${name}.sqlite` }, title)));
  if (chosen != null) select.value = String(chosen);
  find("maker").hidden = !told.can_make;
  find("links").hidden = find("about").hidden = !told.studies.length;
  find("make").elements.question.value ||= told.question;
  making = told.making;
  const how = told.can_make ? "make one at the left" : "make one with `scanmend study make`, and open it with `scanmend serve --study FILE`";
  find("summary").textContent = told.studies.length ? "" : `No study is open: ${how}.`;
  if (!told.studies.length && told.can_make) find("maker").open = true;
  if (told.studies.length) await look();
}

/** Shows how far the raters are; the results too, when there is something new. */
async function look() {
  const { value } = find("study");
  const told = await getJSON(base());
  if (value !== find("study").value) return; // another one is wanted by now
  const { about, methods, items, raters } = told;
  const state = JSON.stringify([value, raters.map(({ done, changed }) => [done, changed])]);
  if (state === shown) return; // what is made anew loses the focus
  find("join").value = address("join", told.join);
  find("local").hidden = !/^(localhost|127\.|\[::1\])/.test(location.hostname);
  const facts = { scans: items.length, methods: methods.join(", "), seed: about.seed, colours: about.colours, level: about.levelling, made: when(about.made) };
  find("about").replaceChildren(
    make("h2", {}, about.title),
    make("dl", { className: "facts" }, ...Object.entries(facts).flatMap(([name, fact]) => [make("dt", {}, name), make("dd", {}, String(fact))])),
  );
  const begun = raters.filter(({ done }) => done).length;
  const annotations = raters.reduce((sum, { done }) => sum + done, 0);
  find("summary").textContent = raters.length
    ? `annotations: ${annotations} · raters who have begun: ${begun} of ${raters.length} · scans: ${items.length}`
    : "Nobody has opened the link yet.";
  find("raters").hidden = !raters.length;
  find("raters").tBodies[0].replaceChildren(...raters.map((rater) => row(rater, items.length)));
  await results(value, annotations);
  shown = state;
}

function row({ number: id, name, token, done, changed }, items) {
  const link = make("a", { href: address("rater", token), target: "_blank", rel: "noopener" }, "their own");
  const bar = make("progress", { max: items, value: done, ariaLabel: "Complete" });
  const cells = [`${done} of ${items}`, bar, changed ? when(changed) : "–", link];
  return make("tr", {}, make("th", { scope: "row" }, name || `rater ${id + 1}`), ...cells.map((cell) => make("td", {}, cell)));
}

const when = (iso) => new Date(iso).toLocaleString([], { dateStyle: "short", timeStyle: "medium", hour12: false });

async function results(study, annotations) {
  find("results").hidden = !annotations;
  if (!annotations) return;
  const found = await getJSON(`${base()}/results`);
  if (study !== find("study").value) return; // these are the other one's
  for (const [id, file] of [["resultsCsv", "results.csv"], ["answersCsv", "answers.csv"], ["resultsJson", "results.json"]]) find(id).href = `${base()}/${file}`;
  const measures = [["rating", 1, 2], ["rank", 1, 2], ["first", 100, 1], ["last", 100, 1]];
  find("table").tBodies[0].replaceChildren(
    ...found.lines.map((line) => lineOf(line.method, measures.map(([name, scale, digits]) => estimate(line[name], scale, digits)))),
  );
  const of = found.resampled === "nothing" ? "Too little for intervals" : `95 % intervals from bootstrap samples of ${found.resampled}`;
  find("resampled").textContent = `${of}. Annotations: ${found.annotations}, raters: ${found.raters}, scans: ${found.items}.`;
  // A line's `preferred` is in the order of the study's methods, which is not that of the table.
  const order = found.methods;
  find("before").tHead.replaceChildren(make("tr", {}, make("th", {}, "% of annotations"), ...found.lines.map(({ method }) => make("th", {}, `before ${method}`))));
  find("before").tBodies[0].replaceChildren(
    ...found.lines.map((line) => lineOf(line.method, found.lines.map((other) => (other === line ? ["–"] : estimate(line.preferred[order.indexOf(other.method)], 100, 1))))),
  );
  const alpha = (name) => make("span", {}, ...estimate(found[`${name}_alpha`], 1, 2));
  find("agreement").replaceChildren("Krippendorff’s alpha: ratings ", alpha("ratings"), ", ranks ", alpha("ranks"), ". 1 is agreement, 0 what chance would do; intervals from samples of scans.");
}

const lineOf = (name, cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, ...cell)));

/** A number and its interval, as it is put into an element. */
function estimate({ value, low, high }, scale, digits) {
  const said = (v) => (scale * v).toFixed(digits).replace("-", "−");
  if (value === null) return ["–"];
  return low === null ? [said(value)] : [said(value), make("i", {}, `${said(low)} … ${said(high)}`)];
}

// Making one

/** Offers the models, and all folders that are served, as scans and as outputs. */
async function offer() {
  const about = await getJSON("api/about");
  const tick = (name, value, label) => make("label", {}, make("input", { type: "checkbox", name, value }), ` ${label}`);
  find("models").replaceChildren(...about.models.filter(({ tasks }) => tasks.includes("restore")).map(({ name }) => tick("models", name, name)));
  const folders = (await Promise.all(about.folders.map((root) => within(root, "")))).flat();
  const value = ({ folder, path }) => JSON.stringify({ folder, path });
  find("make").elements.scans.replaceChildren(...folders.map((f) => make("option", { value: value(f) }, f.label)));
  find("outputs").replaceChildren(...folders.map((f) => tick("outputs", value(f), f.label)));
  if (!folders.length) find("made").textContent = "No folder of scans is served: `scanmend serve FOLDER --study FOLDER`.";
}

/** A folder, and those in it, two deep. */
async function within(root, path, depth = 0) {
  const { entries } = await getJSON(query(`api/folders/${encodeURIComponent(root.id)}`, { path }));
  const inner = depth < 2 ? entries.filter(({ kind }) => kind === "folder") : [];
  const deeper = await Promise.all(inner.map((entry) => within(root, entry.path, depth + 1)));
  return [{ folder: root.id, path, label: [root.name, path].filter(Boolean).join("/") }, ...deeper.flat()];
}

async function start(event) {
  event.preventDefault();
  const form = new FormData(find("make"));
  const plan = {
    title: form.get("title"),
    question: form.get("question"),
    scans: JSON.parse(form.get("scans")),
    models: form.getAll("models"),
    outputs: form.getAll("outputs").map((text) => JSON.parse(text)),
    seed: Number(form.get("seed")),
    colours: form.get("colours"),
    levelling: form.get("levelling"),
  };
  making = await post("api/studies", plan);
  showMaking();
}

/** Shows how far the making is; when it is done, its study. */
async function followMaking() {
  if (making?.state !== "running") return;
  making = (await getJSON("api/studies")).making;
  showMaking();
  if (making.state === "done") await list(making.id);
}

function showMaking() {
  const { state, progress, error } = making;
  find("progress").hidden = state !== "running";
  find("progress").value = progress;
  find("made").className = state === "failed" ? "error" : "";
  find("made").textContent = { running: "restoring …", done: "made", failed: error }[state] ?? "";
}

function complain(message) {
  find("trouble").hidden = !message;
  find("trouble").textContent = message ?? "";
}

/** `action`, whose failure is shown. */
const guarded = (action) => async (...given) => {
  try {
    await action(...given);
    complain(null);
  } catch (error) {
    complain(error.message);
  }
};

async function copy() {
  find("join").select();
  // Browsers let only pages of this machine, or by HTTPS, write there; what is selected can be copied.
  await navigator.clipboard?.writeText(find("join").value).catch(() => {});
}

function next(by) {
  const select = find("study");
  select.selectedIndex = Math.min(Math.max(select.selectedIndex + by, 0), select.options.length - 1);
  guarded(look)();
}

find("colours").append(...CHOICES.map((name) => make("option", {}, name)));
find("study").addEventListener("change", guarded(look));
find("copy").addEventListener("click", guarded(copy));
find("invite").addEventListener(
  "submit",
  guarded(async (event) => {
    event.preventDefault();
    await post(`${base()}/raters`, { name: find("name").value });
    find("name").value = "";
    await look();
  }),
);
find("make").addEventListener("submit", guarded(start));
frame(KEYS, { "[": () => next(-1), "]": () => next(1), y: guarded(copy) });
await guarded(async () => {
  await list();
  if (!find("maker").hidden) await offer();
})();
(async function watch() {
  let lost = false; // what is complained of is this, not what was last asked for
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (document.hidden) continue;
    try {
      await followMaking();
      if (find("study").value) await look();
      if (lost) complain(null);
      lost = false;
    } catch (error) {
      complain(error.message);
      lost = true;
    }
  }
})();
document.documentElement.dataset.ready = "";
