// What stands above an episode: its name, what it is compared with, and its figures.

import { choice, h } from "./dom.js";
import { SIDES, controlWords, episodeHash } from "./episode_data.js";
import { clock, number } from "./words.js";

const FIGURES = [
  ["Delay", "delay_s", 1, "s"],
  ["Trip", "travel_time_s", 1, "s"],
  ["Queue", "queue_veh", 2, ""],
  ["Arrived", "throughput_veh", 0, ""],
  ["Not departed", "backlog_veh", 0, ""],
  ["Switches", "switches", 0, ""],
  ["Teleports", "teleports", 0, ""],
];

/** The letter of an episode, where there are two. */
export function letterOf(episodes, i) {
  return episodes.length > 1
    ? h("span", { class: `letter ${SIDES[i]}` }, `${SIDES[i].toUpperCase()} `)
    : null;
}

/** The heading of a board. */
export function headOf({ view, episodes, mine }) {
  const { view: first } = episodes[0];
  const others = mine
    .filter((one) => one.episode_id !== first.episode_id)
    .map((one) => [
      one.episode_id,
      `${one.episode_id.slice(0, 8)} · ${controlWords(one)} · seed ${one.seed}`,
    ]);
  const beside = choice(
    "Compare with",
    [["", "nothing"], ...others],
    episodes[1]?.id ?? "",
    (id) => view.go(episodeHash(first.episode_id, { beside: id })),
  );
  return h(
    "div",
    { class: "head" },
    h(
      "div",
      {},
      h(
        "h1",
        {},
        first.scenario_id.replace(/-[0-9a-f]{12}$/, ""),
        h("span", { class: "light" }, ` from ${clock(first.begin_s)} to ${clock(first.end_s)}`),
      ),
      h("p", { class: "note" }, `${first.episode_id} · seed ${first.seed} · ${first.status}`),
    ),
    h("div", { class: "controls" }, view.api ? beside : null),
  );
}

/** The figures of finished episodes. */
export function figuresOf(episodes) {
  if (!episodes.some((one) => one.result))
    return h("p", { class: "note" }, "It is not finished; its figures come with its end.");
  return h(
    "dl",
    { class: "tiles" },
    FIGURES.map(([name, key, decimals, unit]) =>
      h(
        "div",
        { "data-figure": key },
        h("dt", {}, name),
        episodes.map((one, i) =>
          h(
            "dd",
            {},
            letterOf(episodes, i),
            one.result ? `${number(one.result[key], decimals)} ${unit}`.trim() : "–",
          ),
        ),
      ),
    ),
  );
}
