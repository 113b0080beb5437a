// What every decision at an episode's present moment would lead to, tried in exact forks.

import { Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { decisionWords, number } from "./words.js";

const HORIZON_S = 60;

/** A section with a button that tries them; it belongs to an episode that is running. */
export function lookAhead({ api, signal }, episode) {
  const moment = episode.moments.at(-1);
  const items = episode.view.signals.flatMap((id) =>
    (moment.signals[id]?.legal ?? []).map((decision, i) => ({
      id: `${i} ${id}`,
      tls_id: id,
      decision,
    })),
  );
  const answer = h("div", { role: "status" });
  const ask = async () => {
    fill(answer, h("p", { class: "note" }, "Trying…"));
    const message = { items, reward: { name: "delay", horizon_s: HORIZON_S }, base: "greedy" };
    try {
      const path = ["v1", "episodes", episode.id, "score"];
      const found = await api.post(path, message, signal);
      fill(answer, tableOfCandidates(items, found.results));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(answer, h("p", {}, error.message));
    }
  };
  return h(
    "section",
    { class: "card apart", "aria-label": "Looking ahead" },
    h("h2", {}, `Looking ahead from step ${moment.step}`),
    h(
      "p",
      { class: "note" },
      `Each decision, then a greedy rule, for ${HORIZON_S} s; the episode does not move.`,
    ),
    h("button", { disabled: !items.length, click: ask }, `Try ${items.length} decisions`),
    answer,
  );
}

/** The best decision of each signal first. */
function tableOfCandidates(items, results) {
  const rows = results.map((result, i) => ({ ...items[i], ...result }));
  const place = (row) => (row.reward === null ? -Infinity : row.reward);
  rows.sort((a, b) => a.tls_id.localeCompare(b.tls_id) || place(b) - place(a));
  const names = ["Signal", "Decision", "Reward: delay"];
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
          names.map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row, i) =>
          h(
            "tr",
            { class: i === 0 || rows[i - 1].tls_id !== row.tls_id ? "best" : null },
            h("td", {}, row.tls_id),
            h("td", {}, decisionWords(row.decision)),
            h("td", { class: "number" }, row.error ? row.error.message : number(row.reward, 3)),
          ),
        ),
      ),
    ),
  );
}
