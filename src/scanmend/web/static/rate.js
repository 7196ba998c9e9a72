/**
 * The page on which a rater ranks and rates outputs whose names it never learns. Whatever is said
 * is sent at once, and again until it is kept; where the rater is, is kept as well.
 *
 * The address ends in #join=… (the link of a study) or #rater=… (of one rater, to come back by).
 */

import { request } from "./api.js";
import { table } from "./colours.js";
import { frame, make } from "./frame.js";
import { Keeping } from "./keeping.js";
import { arrange } from "./mosaic.js";
import { fetchScan, sizeOf } from "./scan.js";
import { View } from "./view.js";
import { Picture, Viewer } from "./viewer.js";

const LETTERS = "ABCDEFGH";
const WORDS = ["useless", "poor", "fair", "good", "excellent"];
const KEYS = [
  ["a, b, c …", "choose an output"],
  ["1 … 5", "rate it, and go on to the next that is not rated"],
  ["Shift + a, b, c …", "rank: the best first; the last one follows by itself"],
  ["Backspace", "take back the last rank"],
  ["j / k", "the next one / back"],
  ["u", "the next one that is not complete"],
  ["m", "hold: the measured scan in every place"],
  ["wheel, + −", "zoom about the pointer"],
  ["drag, arrows", "move the images (arrows: when one has the focus, by Tab)"],
  ["0, double click", "show everything"],
  ["?", "this list"],
];

const find = (id) => document.getElementById(id);
const view = new View();
const images = new Map(); // by position, the promises of its images

let token = "";
let study = null;
let here = null; // { position, ratings, ranks, selected }
let places = []; // of each output { section, viewer, picture, rating, rank }
let reference = null; // of the measured scan { viewer, picture }
let shown = 0;

const ask = (path, { headers, ...options } = {}) =>
  request(`api/${path}`, { ...options, headers: { ...headers, Authorization: `Bearer ${token}` } });
const answer = async (path) => (await ask(path)).json();
const asJSON = (method, body) => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

const keeping = new Keeping((path, body) => ask(path, asJSON("PUT", body)), saved);

// Coming in

async function begin() {
  const [kind, given] = location.hash.slice(1).split("=");
  token = given ?? "";
  if (kind === "rater") return open();
  if (kind !== "join") return complain("This page is opened by the link that a study's owner sends.");
  const about = await answer("welcome");
  find("beginTitle").textContent = about.title;
  find("beginQuestion").textContent = about.question;
  const s = about.items === 1 ? "" : "s";
  find("beginCount").textContent = `${about.items} scan${s}, with ${about.places} outputs each.`;
  const known = JSON.parse(localStorage.getItem(`rater of ${given}`) ?? "null");
  find("remembered").hidden = !known;
  find("enter").hidden = Boolean(known);
  find("resume").textContent = known?.name ? `Go on as ${known.name}` : "Go on where you were";
  find("resume").onclick = () => enter(known.token);
  find("another").onclick = () => {
    find("remembered").hidden = true;
    find("enter").hidden = false;
    find("who").focus();
  };
  find("enter").onsubmit = guarded(async (event) => {
    event.preventDefault();
    const name = find("who").value.trim();
    const made = await (await ask("join", asJSON("POST", { name }))).json();
    localStorage.setItem(`rater of ${given}`, JSON.stringify({ token: made.token, name }));
    enter(made.token);
  });
  find("begin").hidden = false;
  (known ? find("resume") : find("who")).focus();
}

/** Goes on by the rater's own address, which can be kept and opened anywhere. */
function enter(own) {
  history.replaceState(null, "", `#rater=${own}`);
  token = own;
  guarded(open)();
}

async function open() {
  study = await answer("study");
  find("begin").hidden = true;
  find("work").hidden = false;
  find("title").textContent = study.title;
  find("question").textContent = study.question;
  build();
  await go(study.position);
}

/** Makes the grid: the measured scan, then one place for each output. */
function build() {
  const figure = (name, label) => {
    const canvas = make("canvas", { tabIndex: 0, role: "img", ariaLabel: label });
    return [canvas, make("figure", {}, make("figcaption", {}, name), canvas)];
  };
  const [canvas, measured] = figure("measured", "Measured scan");
  const hint = make("div", { className: "marks" }, "rank each, and rate each 1 to 5");
  const sections = [make("section", { className: "place reference", ariaLabel: "Measured" }, measured, hint)];
  reference = { viewer: new Viewer(canvas, view), picture: null };
  places = [...LETTERS.slice(0, study.places)].map((letter, place) => {
    const [canvas, output] = figure(letter, `Output ${letter}`);
    const buttons = (count, label, set) =>
      Array.from({ length: count }, (_, i) =>
        make("button", { type: "button", title: label(i + 1), ariaLabel: `${letter}: ${label(i + 1)}`, onclick: () => set(place, i + 1) }, String(i + 1)),
      );
    const rating = buttons(study.best, (n) => `rate ${n}, ${WORDS[n - 1]}`, rate);
    const rank = buttons(study.places, (n) => `rank ${n}${n === 1 ? ", the best" : ""}`, rankAs);
    const group = (name, all) => make("div", { role: "group", ariaLabel: `${name} of ${letter}` }, make("span", {}, name), ...all);
    const marks = make("div", { className: "marks" }, group("rank", rank), group("rating", rating));
    const section = make("section", { className: "place", ariaLabel: `Output ${letter}`, onpointerdown: () => select(place) }, output, marks);
    sections.push(section);
    return { section, viewer: new Viewer(canvas, view), picture: null, rating, rank };
  });
  find("grid").replaceChildren(...sections);
  new ResizeObserver(layOut).observe(find("grid"));
}

function layOut() {
  if (!reference?.picture) return;
  arrange(find("grid"), places.length + 1, sizeOf(reference.picture.scan), study.best + study.places);
}

// One item

function load(position) {
  if (!images.has(position)) {
    const names = ["measured", ...places.keys()];
    const url = (name) => `api/items/${position}/${name}`;
    const headers = { Authorization: `Bearer ${token}` };
    images.set(position, Promise.all(names.map((name) => fetchScan(url(name), { headers }))));
    images.get(position).catch(() => images.delete(position)); // asked for again when it is needed
    for (const other of images.keys()) if (Math.abs(other - position) > 2) images.delete(other);
  }
  return images.get(position);
}

/** Shows the item at a position, with what was said of it. */
async function go(position) {
  if (position < 0 || position >= study.items) return;
  const turn = ++shown;
  if (position === here?.position) return select(firstOpen()); // what is said meanwhile stays
  const unsent = keeping.of(`items/${position}`);
  const [said, scans] = await Promise.all([answer(`items/${position}`), load(position)]);
  if (turn !== shown) return; // another one is wanted by now
  here = { position, ...said, ...unsent, selected: 0 };
  const [low, high] = said.limits;
  const colours = table(study.colours);
  const pictures = scans.map((scan) => {
    const picture = new Picture(scan);
    picture.paint(scan.values, low, high, colours);
    return picture;
  });
  const [measured, ...outputs] = pictures;
  reference.picture = measured;
  places.forEach((place, i) => (place.picture = outputs[i]));
  view.bound(0, 0, ...sizeOf(measured.scan));
  view.fit();
  layOut();
  show(false);
  select(firstOpen());
  find("work").dataset.position = String(position);
  if (position !== study.position) keeping.keep("study", { position });
  study.position = position;
  if (position + 1 < study.items) load(position + 1).catch(() => {});
  complain(null);
}

/** Shows the outputs, or the measured scan in their places. */
function show(onlyMeasured) {
  find("measured").setAttribute("aria-pressed", String(onlyMeasured));
  for (const { viewer, picture } of [reference, ...places]) {
    viewer.pictures = [onlyMeasured ? reference.picture : picture].filter(Boolean);
    viewer.redraw();
  }
}

const firstOpen = () => Math.max(0, here.ratings.indexOf(null));

function select(place) {
  if (!here || place >= places.length) return;
  here.selected = place;
  tell();
}

function rate(place, rating) {
  if (!here || rating > study.best) return;
  here.ratings[place] = rating;
  here.selected = here.ratings.includes(null) ? firstOpen() : place;
  say();
}

/** Gives a rank; who had it gets the one that becomes free. */
function rankAs(place, rank) {
  const { ranks } = here;
  const other = ranks.indexOf(rank);
  if (other === place) return;
  if (other >= 0) ranks[other] = ranks[place];
  ranks[place] = rank;
  const left = ranks.indexOf(null);
  if (ranks.filter((r) => r === null).length === 1) {
    ranks[left] = ranks.map((_, i) => i + 1).find((r) => !ranks.includes(r));
  }
  say();
}

/** Gives the best rank that is left. */
function rankNext(place) {
  if (!here || here.ranks[place] !== null || place >= places.length) return;
  rankAs(place, here.ranks.map((_, i) => i + 1).find((r) => !here.ranks.includes(r)));
}

/** Takes back the last rank, and the one that followed by itself. */
function unrank() {
  if (!here) return;
  const { ranks } = here;
  const given = ranks.filter((r) => r !== null).sort((a, b) => b - a);
  const back = given.length === ranks.length ? given.slice(0, 2) : given.slice(0, 1);
  if (!back.length) return;
  here.ranks = ranks.map((r) => (back.includes(r) ? null : r));
  say();
}

/** Keeps and shows what was just said. */
function say() {
  const { position, ratings, ranks } = here;
  study.complete[position] = ![...ratings, ...ranks].includes(null);
  keeping.keep(`items/${position}`, { ratings: [...ratings], ranks: [...ranks] });
  tell();
}

/** Shows what was said, and how far the rater is. */
function tell() {
  places.forEach(({ section, rating, rank }, place) => {
    rating.forEach((button, i) => button.setAttribute("aria-pressed", String(here.ratings[place] === i + 1)));
    rank.forEach((button, i) => button.setAttribute("aria-pressed", String(here.ranks[place] === i + 1)));
    section.classList.toggle("complete", here.ratings[place] !== null && here.ranks[place] !== null);
    if (place === here.selected) section.setAttribute("aria-current", "true");
    else section.removeAttribute("aria-current");
  });
  const done = study.complete.filter(Boolean).length;
  find("done").max = study.items;
  find("done").value = done;
  const thanks = done === study.items ? " · all rated, thank you; you may still change anything" : "";
  find("where").textContent = `${here.position + 1} of ${study.items} · ${done} complete${thanks}`;
  find("back").disabled = here.position === 0;
  find("next").disabled = here.position === study.items - 1;
  find("open").disabled = done === study.items;
  find("next").classList.toggle("main", study.complete[here.position]);
}

const step = (by) => here && guarded(go)(here.position + by);

/** Goes to the next item that is not complete, from here on and then from the first. */
function nextOpen() {
  const order = study.complete.map((_, i) => (here.position + 1 + i) % study.items);
  const open = order.find((position) => !study.complete[position]);
  if (open !== undefined) guarded(go)(open);
}

function saved(state, text) {
  find("saved").dataset.state = state;
  find("saved").textContent = text;
}

function complain(message) {
  find("trouble").hidden = !message;
  find("trouble").textContent = message ?? "";
}

/** `action`, whose failure is shown. */
const guarded = (action) => async (...given) => {
  try {
    await action(...given);
  } catch (error) {
    complain(error.message);
  }
};

addEventListener("hashchange", () => location.reload());
addEventListener("blur", () => here && show(false)); // a key that is let go elsewhere is not told
addEventListener("keyup", (event) => event.key.toLowerCase() === "m" && here && show(false));
find("measured").addEventListener("pointerdown", () => here && show(true));
for (const over of ["pointerup", "pointerleave"]) find("measured").addEventListener(over, () => here && show(false));
find("fit").addEventListener("click", () => view.fit());
find("back").addEventListener("click", () => step(-1));
find("next").addEventListener("click", () => step(1));
find("open").addEventListener("click", () => nextOpen());

const byKey = { Backspace: unrank, j: () => step(1), k: () => step(-1), u: () => here && nextOpen(), m: () => here && show(true), 0: () => view.fit() };
[...LETTERS].forEach((letter, place) => {
  const choose = ({ shiftKey }) => (shiftKey ? rankNext(place) : select(place)); // whatever Caps Lock says
  byKey[letter] = byKey[letter.toLowerCase()] = choose;
});
for (let n = 1; n <= WORDS.length; n++) byKey[n] = () => here && rate(here.selected, n);
frame(KEYS, byKey, []);
await guarded(begin)();
document.documentElement.dataset.ready = "";
