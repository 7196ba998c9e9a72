/** What is said, sent until it is kept: one after the other, of each path the newest. */

const RETRY_MS = 2000;

export class Keeping {
  #pending = new Map();
  #sending = false;

  /** `send(path, body)` throws what it could not do; `tell(state, text)` shows how it stands. */
  constructor(send, tell) {
    Object.assign(this, { send, tell });
    addEventListener("beforeunload", (event) => this.#pending.size && event.preventDefault());
  }

  /** What is still to be kept of a path. */
  of(path) {
    return structuredClone(this.#pending.get(path));
  }

  async keep(path, body) {
    this.#pending.set(path, body);
    if (this.#sending) return;
    this.#sending = true;
    this.tell("saving", "saving …");
    while (this.#pending.size) {
      const [[next, what]] = this.#pending;
      try {
        await this.send(next, what);
        if (this.#pending.get(next) === what) this.#pending.delete(next);
      } catch (error) {
        this.tell("lost", `not saved yet: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#sending = false;
    this.tell("saved", "saved");
  }
}
