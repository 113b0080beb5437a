// All states that are served.

import { choice, fill, h } from "./dom.js";
import { clock } from "./words.js";

const PER_PAGE = 50;

/** The hash of a state's view. */
export function stateHash(stateId, query = {}) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const text = asked.toString();
  return `#/state/${encodeURIComponent(stateId)}${text ? `?${text}` : ""}`;
}

/** Lists states, a page at a time. */
export async function showStates({ api, main, query, signal, go }) {
  const offset = Number(query.get("offset")) || 0;
  const scenario = query.get("scenario") ?? "";
  const asked = { limit: PER_PAGE, offset, scenario, order: "time" };
  const page = await api.get(["v1", "states"], asked, signal);
  const scenarios = [...new Set(page.states.map((state) => state.scenario_id))].sort();
  const names = scenario && !scenarios.includes(scenario) ? [scenario, ...scenarios] : scenarios;
  const move = (to, label) =>
    h(
      "button",
      {
        disabled: to < 0 || to >= page.total || to === offset,
        click: () => go(`#/?offset=${to}&scenario=${encodeURIComponent(scenario)}`),
      },
      label,
    );
  document.title = "States · Greenfork";
  fill(
    main,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "States"),
      h(
        "p",
        { class: "note" },
        `${page.total} moments of a simulation, each of which can be continued in every legal way`,
      ),
    ),
    h(
      "div",
      { class: "controls" },
      choice("Scenario", [["", "All"], ...names.map((name) => [name, name])], scenario, (value) =>
        go(`#/?scenario=${encodeURIComponent(value)}`),
      ),
    ),
    page.states.length
      ? h(
          "div",
          { class: "scroll" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["Time", "State", "Scenario", "Signals", "Seed", "Restored from"].map((name) =>
                  h("th", { scope: "col" }, name),
                ),
              ),
            ),
            h("tbody", {}, page.states.map(row)),
          ),
        )
      : h("p", { class: "card" }, "No state is served here."),
    page.total > PER_PAGE
      ? h(
          "div",
          { class: "controls" },
          move(Math.max(0, offset - PER_PAGE), "Earlier"),
          h(
            "span",
            { class: "note" },
            `${offset + 1} to ${Math.min(offset + PER_PAGE, page.total)} of ${page.total}`,
          ),
          move(offset + PER_PAGE, "Later"),
        )
      : null,
  );
}

function row(state) {
  const ways = { state: "its own file", replay: "a replay", unverified: "its file, unproven" };
  return h(
    "tr",
    {},
    h("td", { class: "number" }, clock(state.time_s)),
    h("td", {}, h("a", { href: stateHash(state.state_id) }, state.state_id)),
    h("td", {}, state.scenario_id),
    h("td", { class: "number" }, Object.keys(state.signals).length),
    h("td", { class: "number" }, state.seed),
    h("td", {}, ways[state.restore] ?? state.restore),
  );
}
