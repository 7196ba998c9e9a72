/** Opening scans: files that are dropped or chosen, files in served folders, channels as thumbnails. */

import { getJSON, post, query } from "./api.js";
import { paint, table } from "./colours.js";
import { make } from "./frame.js";
import { FEW, fitPlane, levelsOf, subtractPlane } from "./levels.js";
import { fetchScan, sizeOf } from "./scan.js";
import { lacksScale, which } from "./task.js";
import { electrical, number } from "./units.js";

const THUMB = 96; // pixels a side that are fetched
const [WARNING, CALIBRATED] = ["warning: ", "calibrated "]; // what such steps of a history begin with

const find = (id) => document.getElementById(id);

/** Has `open(task)` called with what promises a file, for every file that is dropped or chosen. */
export function listen(open) {
  const send = (file, beside) => {
    const form = new FormData();
    form.append("file", file);
    for (const other of beside) form.append("beside", other);
    open(file.name, () => post("api/files", form));
  };
  // The scale of an Omicron MATRIX image lies in the .mtrx files of its experiment.
  const sendAll = (files) => {
    const isExperiment = ({ name }) => name.endsWith(".mtrx");
    const experiments = files.filter(isExperiment);
    const images = files.filter((file) => !isExperiment(file));
    for (const file of images.length ? images : experiments)
      send(file, experiments.filter(({ name }) => file.name.startsWith(name.replace(/_\d{4}\.mtrx$/, "--"))));
  };
  const drop = find("drop");
  find("file").addEventListener("change", ({ target }) => {
    sendAll([...target.files]);
    target.value = ""; // so that the same file may be chosen again
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    sendAll([...event.dataTransfer.files]);
  });
}

/** Lists the served folders, if there are any. */
export function browse(folders, open, fail) {
  const [path, entries] = [find("path"), find("entries")];
  find("folders").hidden = !folders.length;
  const button = (text, onclick, current) =>
    make("button", { type: "button", className: "link", onclick, ariaCurrent: current ? "location" : null }, text);
  const roots = () => {
    path.replaceChildren();
    entries.replaceChildren(
      ...folders.map((folder) => make("li", {}, button(`${folder.name}/`, () => list(folder, "")))),
    );
  };
  const list = async (folder, where) => {
    let found;
    try {
      found = (await getJSON(query(`api/folders/${encodeURIComponent(folder.id)}`, { path: where }))).entries;
    } catch (error) {
      return fail(error);
    }
    const parts = where ? where.split("/") : [];
    const trail = parts.map((part, i) => button(part, () => list(folder, parts.slice(0, i + 1).join("/")), i === parts.length - 1));
    path.replaceChildren(
      ...(folders.length > 1 ? [button("folders", roots), " / "] : []),
      button(folder.name, () => list(folder, ""), !parts.length),
      ...trail.flatMap((link) => [" / ", link]),
    );
    const items = found.map((entry) =>
      entry.kind === "folder"
        ? button(`${entry.name}/`, () => list(folder, entry.path))
        : button(entry.name, () => open(entry.name, () => post("api/files", { folder: folder.id, path: entry.path }))),
    );
    entries.replaceChildren(...items.map((item) => make("li", {}, item)));
    if (!items.length) entries.replaceChildren(make("li", {}, "nothing that can be opened"));
  };
  if (folders.length === 1) list(folders[0], "");
  else roots();
}

/** Every image of a file, as {channel, direction}; the first height, forward, comes first. */
export function imagesOf(file) {
  const images = file.channels.flatMap((channel) =>
    (channel.directions.length ? channel.directions : [null]).map((direction) => ({ channel, direction })),
  );
  const rank = ({ channel, direction }) =>
    2 * ["height", "current", "counts", null].indexOf(channel.quantity?.toLowerCase() ?? null) +
    (direction === "backward");
  return images.sort((a, b) => rank(a) - rank(b));
}

/** Shows which frame of a series it is; nothing of an image that stands alone. */
export function frames({ image: { channel }, frame }) {
  find("frames").hidden = !channel.frames;
  Object.assign(find("frame"), { max: channel.frames, value: frame });
  find("frameCount").textContent = `of ${channel.frames}`;
}

/** Shows the images of a file as radio buttons; `choose(image)` when another is chosen. */
export function thumbnails(work, choose) {
  find("channels").replaceChildren(
    ...work.images.map((image) => {
      const { channel, direction } = image;
      const canvas = make("canvas", { width: THUMB, height: THUMB, ariaHidden: "true" });
      const radio = make("input", { type: "radio", name: "image", checked: image === work.image });
      radio.addEventListener("change", () => choose(image));
      const asked = { ...which({ ...work, image }), side: THUMB };
      if (channel.size_nm) delete asked.lattice; // which changes no picture, and takes its time
      if (!lacksScale(channel, work.scale)) thumbnail(canvas, query(`api/files/${work.file.id}/scan`, asked));
      const foreign = !channel.quantity && channel.unit;
      radio.disabled = Boolean(foreign);
      const why = foreign && `in ${channel.unit}, which is neither height, current nor counts`;
      const title = [channel.name, direction, why].filter(Boolean).join(", ");
      const arrow = { forward: " →", backward: " ←" }[direction] ?? "";
      return make("label", { title }, radio, canvas, make("span", {}, channel.name + arrow));
    }),
  );
}

/** Draws the scan at `url` into a canvas; one that cannot be read stays empty. */
export async function thumbnail(canvas, url) {
  try {
    const scan = await fetchScan(url);
    const values = scan.quantity === "counts" ? scan.values : subtractPlane(scan, fitPlane(scan));
    canvas.width = scan.columns;
    canvas.height = scan.rows;
    const [height, width] = sizeOf(scan);
    canvas.style.aspectRatio = String(Math.min(Math.max(width / height, 0.5), 2));
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(scan.columns, scan.rows);
    paint(pixels, values, ...levelsOf(FEW, values), table("inferno"));
    context.putImageData(pixels, 0, 0);
  } catch (error) {
    canvas.parentElement?.setAttribute("title", error.message);
    canvas.classList.add("none");
  }
}

/** How a scan was taken, as far as its file says, and what is odd about its numbers. */
export function facts({ file }, scan) {
  const [height, width] = sizeOf(scan);
  const taken = scan.acquisition;
  const missing = scan.values.reduce((n, v) => n + (v !== v), 0) / scan.values.length;
  const known = {
    format: file.format,
    size: `${number(width)} × ${number(height)} nm`,
    pixels: `${scan.columns} × ${scan.rows}, ${number(scan.pixel[1])} nm each`,
    bias: taken.bias_V == null ? null : electrical(taken.bias_V, "V"),
    setpoint: taken.setpoint_nA == null ? null : electrical(taken.setpoint_nA, "nA"),
    voltage: taken.voltage_kV && `${number(taken.voltage_kV)} kV`,
    detector: taken.detector,
    dose: scan.dose_per_A2 && `${number(scan.dose_per_A2)} electrons/Å²`,
    beam: taken.beam_current_pA && `${number(taken.beam_current_pA)} pA`,
    dwell: taken.dwell_us && `${number(taken.dwell_us)} µs a pixel`,
    taken: taken.started?.replace("T", " ").slice(0, 19),
    scale: scan.history.findLast((step) => step.startsWith(CALIBRATED))?.slice(CALIBRATED.length),
    "not measured": missing ? `${number(100 * missing, 2)} % of the pixels, grey` : null,
  };
  find("facts").replaceChildren(
    ...Object.entries(known)
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  const odd = scan.history.filter((step) => step.startsWith(WARNING));
  find("warnings").hidden = !odd.length;
  find("warnings").replaceChildren(...odd.map((step) => make("li", {}, step.slice(WARNING.length))));
}
