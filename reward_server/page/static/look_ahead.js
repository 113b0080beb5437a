// What every decision at a step of an episode would lead to, tried in exact forks.

import { Refusal } from "./api.js";
import { choice, fill, h } from "./dom.js";
import { aheadOf, candidatesOf } from "./episode_ahead.js";
import { SIDES } from "./episode_data.js";
import { letterOf } from "./episode_head.js";
import { decisionWords, number } from "./words.js";

const HORIZONS = ["30", "60", "120", "300"].map((seconds) => [seconds, `${seconds} s`]);

/** A section with a button that tries the decisions of the board's step. */
export class LookAhead {
  constructor(board) {
    this.board = board;
    this.horizon = "60";
    this.title = h("h2");
    this.answer = h("div", { role: "status" });
    this.buttons = h("div", { class: "controls" });
    this.element = h(
      "section",
      { class: "card apart", "aria-label": "Looking ahead" },
      this.title,
      h(
        "p",
        { class: "note" },
        "Each decision of one signal, the others as they were decided, then a greedy rule. " +
          "The episode does not move; earlier steps are repeated first.",
      ),
      this.buttons,
      this.answer,
    );
  }

  /** Shows what is known of the step, and a button for each episode that has it. */
  show() {
    const { board } = this;
    const { episodes, step } = board;
    fill(this.title, `Looking ahead from step ${step}`);
    const length = choice("Over", HORIZONS, this.horizon, (value) => {
      this.horizon = value;
      this.show();
    });
    fill(
      this.buttons,
      length,
      episodes.map((episode, i) => {
        const count = candidatesOf(episode, step).items.length;
        return h(
          "button",
          { class: SIDES[i], disabled: !count, click: () => this.ask(episode, step) },
          `Try ${count} candidates`,
          episodes.length > 1 ? ` for ${SIDES[i].toUpperCase()}` : "",
        );
      }),
    );
    fill(
      this.answer,
      episodes.map((episode, i) =>
        episode.ahead[step]
          ? [letterOf(episodes, i), tableOfCandidates(episode.ahead[step])]
          : null,
      ),
    );
  }

  async ask(episode, step) {
    const { view } = this.board;
    fill(this.answer, h("p", { class: "note" }, "Trying…"));
    const tried = candidatesOf(episode, step);
    const name = episode.view.reward.name === "queue" ? "queue" : "delay";
    const reward = { name, horizon_s: Number(this.horizon) };
    const message = { items: tried.items, reward, base: "greedy" };
    if (step < episode.steps.length) message.step = step;
    try {
      const path = ["v1", "episodes", episode.id, "score"];
      const { results } = await view.api.post(path, message, view.signal);
      episode.ahead[step] = aheadOf(tried, results, reward);
      this.board.told = null;
      this.board.paintBands();
      this.board.redraw();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const words = error.status === 403 ? "Scoring needs a key with the scope score." : error.message;
      fill(this.answer, h("p", {}, words));
    }
  }
}

/** The best decision of each signal first, and how much worse the others are. */
function tableOfCandidates({ signals, reward }) {
  const rows = Object.entries(signals).flatMap(([id, { candidates }]) =>
    candidates.map((one, i) => ({ id, isFirst: i === 0, ...one })),
  );
  const names = ["Signal", "Decision", `Reward: ${reward.name}`, "Regret"];
  return h(
    "div",
    { class: "scroll tall" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          names.map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : null }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { class: row.isFirst ? "best" : null },
            h("td", {}, row.id),
            h("td", {}, decisionWords(row.decision)),
            h("td", { class: "number" }, row.error ? row.error.message : number(row.reward, 3)),
            h("td", { class: "number" }, number(row.regret, 3)),
          ),
        ),
      ),
    ),
  );
}
