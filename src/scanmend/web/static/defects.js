/** Defects on the restore page: who is asked for them, what it says, and what the rings mean. */

import { getJSON, query } from "./api.js";
import { make } from "./frame.js";

/** What may become of a defect, and its colour; tellable apart by the colour-blind, on any surface. */
export const FATES = {
  found: "#56b4e9",
  kept: "#56b4e9",
  moved: "#e69f00",
  changed: "#cc79a7",
  added: "#ff5e3a",
  removed: "#f0e442",
};

const find = (id) => document.getElementById(id);

/**
 * Wires the choice of who finds defects; gives back `look`, to be called when other scans are shown,
 * and `next`. `shown()` is the opened scan, `which` says which image of its file that is.
 */
export function defects(stage, shown, which) {
  const select = find("finder");
  const known = new WeakMap(); // by the scans of a work: they are others after every restoration

  async function look() {
    const [work, finder] = [shown(), select.value];
    tell(stage, null);
    if (!finder || !work?.scans.size) return;
    const done = work.scans.has("restored");
    const key = `${finder} ${done ? work.job.id : ""}`;
    if (!known.has(work.scans)) known.set(work.scans, new Map());
    const said = known.get(work.scans);
    find("found").hidden = false;
    find("found").textContent = "looking for defects";
    if (!said.has(key)) {
      const [path, choices] = done ? [`jobs/${work.job.id}`, {}] : [`files/${work.file.id}`, which(work)];
      said.set(key, getJSON(query(`api/${path}/defects`, { ...choices, finder })));
    }
    const found = await said.get(key).catch((error) => ({ error: error.message }));
    if (found.error) said.delete(key);
    const still = shown() === work && select.value === finder && work.scans.has("restored") === done;
    if (still) tell(stage, found);
  }

  select.addEventListener("change", look);
  const next = () => {
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    look();
  };
  return { look, next };
}

/** Lists who finds defects. */
export function offer(finders) {
  find("finder").append(...finders.map((name) => make("option", { value: name }, name.replace(/^defects-/, ""))));
}

/** Shows rings, and what there is of each colour; or nothing, or why there is nothing. */
function tell(stage, found) {
  stage.marks = found?.marks ?? [];
  stage.refresh();
  const line = find("found");
  line.hidden = !found;
  line.classList.toggle("error", Boolean(found?.error));
  if (found?.error) line.textContent = found.error;
  else if (found) line.replaceChildren(...Object.entries(found.counts).map(entry), ...edges(found.marks));
}

function entry([fate, count]) {
  const item = make("span", {}, `${count} ${fate}`);
  item.style.setProperty("--ring", FATES[fate]);
  return item;
}

/** What does not count, since it may go on beyond the edge. */
function edges(marks) {
  const count = marks.filter(({ edge, counted }) => edge || counted === false).length;
  return count ? [make("span", { className: "edge" }, `${count} at the edge`)] : [];
}
