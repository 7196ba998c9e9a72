/** Simulated scans from the server: one is asked for at a time, and always the last one wanted. */

import { getJSON, request } from "./api.js";
import { scanOf } from "./scan.js";

const PATIENCE_MS = 400; // until somebody who waits is told what for
const LOOK_MS = 500;

/**
 * Tells of "done" (`rendered` is the newest), "failed" (`message`), and "waiting" (`message`), where
 * one takes long. Answers come in the order of the questions; those to what was asked before
 * `begin` come to nothing.
 */
export class Renderings extends EventTarget {
  rendered = null;
  message = null;

  #turn = 0;
  #wanted = null;
  #abort = null;
  #generation = 0;

  /** Forgets what was asked so far. */
  begin() {
    this.#generation++;
    this.#wanted = null;
  }

  /** Wants a scan: {name, experiment, seed, number}. Returns the `turn` that it has when it is rendered. */
  want(question) {
    const turn = ++this.#turn;
    this.#wanted = { body: JSON.stringify(question), generation: this.#generation, turn, asked: performance.now() };
    if (!this.#abort) this.#work();
    return turn;
  }

  /** Ends what is being done. */
  stop() {
    this.#wanted = null;
    this.#abort?.abort();
  }

  async #work() {
    while (this.#wanted) {
      const { body, generation, turn, asked } = this.#wanted;
      this.#wanted = null;
      this.#abort = new AbortController();
      const patience = setTimeout(() => this.#wait(this.#abort, performance.now()), PATIENCE_MS);
      try {
        const rendered = await fetchRendered(body, this.#abort.signal);
        if (generation !== this.#generation) continue;
        this.rendered = { ...rendered, turn, asked };
        this.dispatchEvent(new Event("done"));
      } catch (error) {
        if (generation !== this.#generation || this.#wanted) continue;
        this.message = error.name === "AbortError" ? "stopped" : error.message;
        this.dispatchEvent(new Event("failed"));
      } finally {
        clearTimeout(patience);
        this.#abort = null;
      }
    }
  }

  /** Says what takes so long, until it is over. */
  async #wait(abort, since) {
    while (this.#abort === abort) {
      const { state, seconds } = await getJSON("api/simulator").catch(() => ({ state: "ready" }));
      if (this.#abort !== abort) return;
      this.message =
        state === "starting"
          ? `The simulator is getting ready, ${Math.round(seconds)} s so far. On a new machine it is compiled first, once, for a minute or two.`
          : `calculating for ${((performance.now() - since + PATIENCE_MS) / 1000).toFixed(0)} s`;
      this.dispatchEvent(new Event("waiting"));
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

/** What the server answers, with `images` and `curves` by name. */
async function fetchRendered(body, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await request("api/simulator/render", { method: "POST", headers, body, signal });
  const buffer = await response.arrayBuffer();
  const end = new Uint8Array(buffer).indexOf(10);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, end)));
  const { rows, columns, pixel_nm: pitch } = about;
  const [images, curves] = [new Map(), new Map()];
  let at = end + 1;
  for (const { name, unit, length } of about.arrays) {
    const values = new Float32Array(buffer, at, length);
    at += values.byteLength;
    if (!about.images.includes(name)) curves.set(name, values);
    else images.set(name, scanOf(values, rows, columns, [pitch, pitch], { unit, quantity: unit === "nA" ? "current" : "height" }));
  }
  return { ...about, images, curves };
}
