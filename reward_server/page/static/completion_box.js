// A box for a completion: what a model answered, as the service reads and scores it.

import { Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { decisionWords, number } from "./words.js";

/** A field, and what is read and scored of what it holds: an item of these, under this reward. */
export function completionBox(view, item, reward) {
  const examples = {
    extend: '{"extend": "yes"}',
    phase: '{"next_phase_id": 0, "green_sec": 20}',
    cycle: '[{"phase_id": 0, "final": 30}]',
    plan: '["yes", "no"]',
  };
  const field = h("textarea", {
    rows: 3,
    "aria-label": "Completion",
    placeholder: examples[item.decision_kind],
    spellcheck: "false",
  });
  const answer = h("div", { class: "answer", role: "status" });
  const score = async (event) => {
    event.preventDefault();
    const text = field.value || field.placeholder;
    const items = [{ ...item, completion: text }];
    try {
      const [result] = (
        await view.api.post(["v1", "score"], { items, reward }, view.signal)
      ).results;
      fill(answer, readAs(result));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(
        answer,
        h(
          "p",
          {},
          error.status === 403 ? "Scoring needs a key with the scope score." : error.message,
        ),
      );
    }
  };
  return h(
    "form",
    { submit: score },
    h("h2", {}, "A completion"),
    h("p", { class: "note" }, "Type or paste what a model answered."),
    field,
    h("div", { class: "controls" }, h("button", { class: "primary" }, "Score")),
    answer,
  );
}

function readAs(result) {
  const pairs = [["Read as", result.decision ? decisionWords(result.decision) : "no decision"]];
  if (result.status === "invalid")
    pairs.push(["Legal", `no: ${result.error.message} (${result.error.code})`]);
  else if (result.status === "scored") pairs.push(["Legal", "yes"]);
  else pairs.push(["Failed", `${result.error.message} (${result.error.code})`]);
  pairs.push(["Reward", number(result.reward, 3)]);
  if (result.metrics) pairs.push(["Queue", number(result.metrics.queue_veh, 2)]);
  return h(
    "dl",
    {},
    pairs.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}
