/** The toolbar of the restore page: what it and its keys do to the stage. */

import { CHOICES } from "./colours.js";
import { make, onKeys } from "./frame.js";
import { LevelBar } from "./levelbar.js";
import { legend, profiles, readout } from "./readout.js";

const find = (id) => document.getElementById(id);
const MODES = { level: "p", colours: "c", layout: "v", domain: "f", right: "n", overlay: "m" };
const DOUBTFUL = 0.1; // share of the relief, where no verdict says what it is

/** Wires the toolbar to a stage; gives back `show(scans, verdict)`. */
export function controls(stage) {
  const bar = new LevelBar(find("levels"), stage, (chosen) => {
    stage.chosen = chosen;
    stage.refresh();
  });
  find("colours").replaceChildren(...CHOICES.map((name) => make("option", {}, name)));
  const set = (name, value) => {
    stage[name] = value;
    if (name === "level") stage.relevel();
    else {
      if (name === "domain") stage.chosen = null;
      stage.refresh();
    }
  };
  const actions = {};
  for (const [name, key] of Object.entries(MODES)) {
    const select = find(name);
    select.addEventListener("change", () => set(name, select.value));
    actions[key] = () => {
      const { options } = select;
      if (!options.length) return;
      select.selectedIndex = (select.selectedIndex + 1) % options.length;
      set(name, select.value);
    };
  }
  const line = find("draws_line");
  const drawLines = () => {
    const on = line.getAttribute("aria-pressed") !== "true";
    line.setAttribute("aria-pressed", String(on));
    for (const viewer of stage.viewers) viewer.drawsLines = on;
  };
  line.addEventListener("click", drawLines);
  const fit = () => stage.view.fit();
  find("fit").addEventListener("click", fit);
  onKeys({ ...actions, l: drawLines, 0: fit, a: () => find("auto").click() });
  find("threshold").addEventListener("change", ({ target }) => {
    if (!(target.valueAsNumber > 0)) return;
    stage.threshold = target.valueAsNumber / Number(target.dataset.factor);
    stage.refresh();
  });
  divider(stage);
  stage.addEventListener("pictures", () => {
    titles(stage);
    bar.draw();
    readout(stage);
    legend(stage);
    profiles(stage);
  });
  stage.addEventListener("point", () => readout(stage));
  stage.addEventListener("line", () => profiles(stage));
  const redraw = () => stage.scans.size && (bar.draw(), profiles(stage));
  document.addEventListener("themechange", redraw);
  new ResizeObserver(redraw).observe(find("curves"));
  return (scans, verdict) => present(stage, scans, verdict);
}

function present(stage, scans, verdict) {
  for (const id of ["below", "levels"]) find(id).hidden = !scans.size;
  find("empty").hidden = scans.size > 0;
  find("panes").toggleAttribute("data-empty", !scans.size);
  if (!scans.size) return stage.clear();
  const names = [...scans.keys()].filter((name) => name !== "measured");
  const [measured, restored] = [scans.get("measured"), scans.get("restored")];
  find("levelRow").hidden = measured.quantity === "counts";
  if (restored?.values.length === measured.values.length) names.splice(1, 0, "removed");
  find("right").replaceChildren(...names.map((name) => make("option", {}, name)));
  if (names.includes(stage.right)) find("right").value = stage.right;
  else if (names.length) stage.right = find("right").value = names[0];
  stage.chosen = null;
  const relief = verdict?.relief ?? (stage.limits ? stage.limits[1] - stage.limits[0] : 1);
  stage.threshold = DOUBTFUL * relief;
  stage.show(scans);
}

/** Titles of the images, and which controls apply. */
function titles(stage) {
  const { layout, domain, right } = stage;
  const both = stage.images().size > 1;
  const of = domain === "fourier" ? ", log power" : "";
  find("panes").dataset.layout = layout;
  find("rightPane").hidden = layout === "slider";
  find("rightTitle").textContent = both ? right + of : "not restored yet";
  find("leftTitle").textContent = layout === "slider" && both ? `measured${of} | ${right}${of}` : `measured${of}`;
  find("divider").hidden = layout !== "slider" || !both;
}

/** The divider of the slider view, by mouse and by arrows. */
function divider(stage) {
  const handle = find("divider");
  const move = (share) => {
    const at = Math.min(1, Math.max(0, share));
    stage.viewers[0].divider = at;
    handle.style.left = `${100 * at}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(100 * at)));
    stage.viewers[0].redraw();
  };
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    const box = find("panes").getBoundingClientRect();
    if (event.buttons) move((event.clientX - box.left) / box.width);
  });
  handle.addEventListener("keydown", (event) => {
    const at = stage.viewers[0].divider;
    const by = event.shiftKey ? 0.1 : 0.01;
    const to = { ArrowLeft: at - by, ArrowRight: at + by, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(to);
  });
  move(0.5);
}
