// Where everything was in an episode: parts of its trace, fetched when they are looked at.

import { Refusal } from "./api.js";
import { readTrace } from "./scene.js";

/** The length of a part; the service gives no more at a time. */
export const PART_S = 300;

/** The trace of one episode. Moments are seconds after its begin. */
export class Film {
  constructor(view, episode, tlsId, changed) {
    Object.assign(this, { view, episode, tlsId, changed });
    this.begin = episode.view.begin_s;
    this.length = episode.view.time_s - this.begin;
    this.parts = new Map();
    this.isLoading = false;
    this.trouble = "";
    for (const part of episode.film ?? []) this.keep(part);
  }

  /** The part that holds a moment, null if it is not there. */
  at(t) {
    return this.parts.get(this.placeOf(t)) ?? null;
  }

  /** Whether a moment may yet be shown. */
  isComing(t) {
    return !this.at(t) && !this.trouble && Boolean(this.view.api) && this.length > 0;
  }

  /** Fetches the part that holds a moment, unless it is there or another one is on its way. */
  async want(t) {
    if (this.isLoading || !this.isComing(t)) return;
    const begin = this.placeOf(t) * PART_S;
    this.isLoading = true;
    this.changed();
    try {
      const query = {
        from_s: this.begin + begin,
        to_s: this.begin + Math.min(begin + PART_S, this.length),
        tls_id: this.tlsId,
      };
      const path = ["v1", "episodes", this.episode.id, "trace"];
      this.keep(await this.view.api.get(path, query, this.view.signal));
    } catch (error) {
      if (this.view.signal.aborted) return;
      if (!(error instanceof Refusal)) throw error;
      this.trouble = `${error.message} (${error.code})`;
    } finally {
      this.isLoading = false;
    }
    this.changed();
  }

  /** The parts that are there, as the service gave them. */
  kept() {
    return [...this.parts.values()].map((part) => part.given);
  }

  keep(given) {
    const begin = given.times_s[0] - this.begin;
    this.parts.set(this.placeOf(begin), { ...readTrace(given), begin, given });
  }

  placeOf(t) {
    const last = Math.max(0, Math.ceil(this.length / PART_S) - 1);
    return Math.min(last, Math.floor(t / PART_S + 1e-9));
  }
}

/** How many vehicles there are in a second of a part, and how many of them stand in a queue. */
export function countsAt(part, second) {
  const queue = part.queues[second];
  let standing = 0;
  for (let i = 1; i < queue.length; i += 2) standing += queue[i];
  return { vehicles: part.frames[second].length / 5, standing };
}
