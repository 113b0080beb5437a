// What is decided at a step of an episode, signal by signal.

import { fill, h } from "./dom.js";
import { letterOf } from "./episode_head.js";
import { decisionWords, number, span } from "./words.js";

const NUMBERS = ["Phase", "Reward"];

/** Fills the board's table: what was asked at its step, and what became of it. */
export function showDecisions(board) {
  const rows = board.episodes.flatMap((episode, i) =>
    episode.view.signals.map((id) => decisionRow(board, episode, i, id)),
  );
  const names = [
    ...(board.episodes.length > 1 ? [""] : []),
    "Signal",
    "Phase",
    "Asked",
    "What became of it",
    "Reward",
    ...(board.episodes.some((one) => one.ahead[board.step]) ? ["Looking ahead"] : []),
    "Prompt and answer",
  ];
  const isOpen = board.decisions.querySelector("details[open]") !== null;
  fill(
    board.decisions,
    h("h2", {}, board.step < board.last ? `What is decided at step ${board.step}` : "The end"),
    h(
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
            names.map((name) =>
              h(
                "th",
                { scope: "col", class: NUMBERS.includes(name) ? "number" : null },
                name || h("span", { class: "unseen" }, "Episode"),
              ),
            ),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
  );
  if (isOpen) board.decisions.querySelector("details")?.setAttribute("open", "");
}

function decisionRow(board, episode, i, id) {
  const before = episode.moments[board.step]?.signals[id];
  const step = episode.steps[board.step];
  const decision = step?.request.decisions[id];
  const text = step?.request.completions[id];
  const invalid = step?.answer.invalid[id];
  const became = invalid
    ? `${invalid.message} (${invalid.code})`
    : step
      ? step.answer.kept.includes(id)
        ? "went on as it was"
        : "carried out"
      : "–";
  const prompt = before?.prompt ?? [];
  const told =
    prompt.length || text
      ? h(
          "details",
          {},
          h("summary", {}, "Show"),
          prompt.map((message) => [
            h("span", { class: "role" }, message.role),
            h("pre", {}, message.content),
          ]),
          text ? [h("span", { class: "role" }, "answer"), h("pre", {}, text)] : null,
        )
      : "–";
  return h(
    "tr",
    {},
    board.episodes.length > 1 ? h("td", {}, letterOf(board.episodes, i)) : null,
    h("td", {}, id),
    h(
      "td",
      { class: "number" },
      before ? `${before.current_phase} for ${span(before.elapsed_green_s)}` : "–",
    ),
    h("td", {}, decision ? decisionWords(decision) : text ? "a text" : "nothing"),
    h("td", {}, became),
    h("td", { class: "number" }, number(step?.answer.rewards[id] ?? null, 2)),
    board.episodes.some((one) => one.ahead[board.step])
      ? h("td", {}, foundAhead(episode.ahead[board.step], id))
      : null,
    h("td", {}, told),
  );
}

/** What looking ahead says of a signal's decision. */
function foundAhead(ahead, id) {
  const found = ahead?.signals[id];
  const best = found?.candidates[0];
  if (!best || best.reward === null) return "–";
  if (found.regret === null) return decisionWords(best.decision);
  if (found.regret <= 0) return "nothing better";
  const unit = `${ahead.reward.name} over ${ahead.reward.horizon_s} s`;
  return [
    h("strong", { class: "otherwise" }, decisionWords(best.decision)),
    h("span", { class: "note" }, ` regret ${number(found.regret, 3)}, ${unit}`),
  ];
}
