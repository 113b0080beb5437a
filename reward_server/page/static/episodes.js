// Episodes: all of a caller's, and one of them, perhaps beside another one.

import { Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { Board } from "./episode_board.js";
import { controlWords, episodeHash, readTrips } from "./episode_data.js";
import { clock } from "./words.js";

const PAGE = 1000;

/** Lists the caller's episodes. */
export async function showEpisodes({ api, main, query, signal, go }) {
  document.title = "Episodes · Greenfork";
  const offset = Number(query.get("offset")) || 0;
  const page = await api.get(["v1", "episodes"], { limit: 50, offset }, signal);
  const names = ["Began", "Episode", "Scenario", "Seed", "Steered", "At", "Status"];
  fill(
    main,
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Episodes"),
      h("p", { class: "note" }, `${page.total} of your own`),
    ),
    page.episodes.length
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
                names.map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h(
              "tbody",
              {},
              page.episodes.map((one) =>
                h(
                  "tr",
                  {},
                  h("td", {}, new Date(one.created_at).toLocaleString()),
                  h(
                    "td",
                    {},
                    h("a", { href: episodeHash(one.episode_id) }, one.episode_id.slice(0, 12)),
                  ),
                  h("td", {}, one.scenario_id),
                  h("td", {}, one.seed),
                  h("td", {}, controlWords(one)),
                  h("td", { class: "number" }, clock(one.time_s)),
                  h("td", {}, one.status),
                ),
              ),
            ),
          ),
        )
      : h(
          "p",
          { class: "card" },
          "None yet. POST /v1/episodes begins one, and greenfork control plays them by the hour.",
        ),
    page.total > 50
      ? h(
          "div",
          { class: "controls" },
          h(
            "button",
            { disabled: !offset, click: () => go(`#/episodes?offset=${Math.max(0, offset - 50)}`) },
            "Newer",
          ),
          h(
            "button",
            {
              disabled: offset + 50 >= page.total,
              click: () => go(`#/episodes?offset=${offset + 50}`),
            },
            "Older",
          ),
        )
      : null,
  );
}

/** Shows an episode. */
export async function showEpisode(view, id) {
  document.title = `Episode ${id.slice(0, 12)} · Greenfork`;
  fill(view.main, h("p", { class: "note wait" }, "Reading the episode…"));
  const other = view.query.get("beside");
  const ids = other && other !== id ? [id, other] : [id];
  const episodes = await Promise.all(ids.map((one) => readEpisode(view, one)));
  const mine = (await view.api.get(["v1", "episodes"], { limit: PAGE }, view.signal)).episodes;
  const scenario = episodes[0].view.scenario_id;
  const [geometry, definitions] = await Promise.all([
    networkOf(view, scenario, episodes[0].view),
    definitionsOf(view, scenario),
  ]);
  const board = new Board(
    view,
    episodes,
    geometry,
    definitions,
    mine.filter((one) => one.scenario_id === scenario),
  );
  view.closing.push(() => board.close());
  board.build();
}

async function readEpisode({ api, signal }, id) {
  const view = await api.get(["v1", "episodes", id], {}, signal);
  const moments = [];
  const steps = [];
  for (let offset = 0; ; offset += PAGE) {
    const page = await api.get(["v1", "episodes", id, "steps"], { limit: PAGE, offset }, signal);
    if (!moments.length) moments.push(page.begin);
    for (const one of page.steps) {
      steps.push(one);
      moments.push(one.answer);
    }
    if (offset + PAGE >= page.total) break;
  }
  const isDone = view.status === "finished";
  const result = isDone ? await api.get(["v1", "episodes", id, "result"], {}, signal) : null;
  const trips = isDone
    ? readTrips(
        await (
          await api.send(api.url(["v1", "episodes", id, "trips"]), {
            signal,
            headers: { Accept: "text/csv" },
          })
        ).text(),
      )
    : null;
  return { id, view, steps, moments, result, trips, ahead: {} };
}

async function networkOf({ api, signal }, scenario, episode) {
  try {
    return await api.get(["v1", "scenarios", scenario, "geometry"], {}, signal);
  } catch (error) {
    if (!(error instanceof Refusal) || !["too_large", "unknown_scenario"].includes(error.code))
      throw error;
    if (error.code === "unknown_scenario") return null;
    return api.get(
      ["v1", "scenarios", scenario, "geometry"],
      { tls_id: episode.signals[0] },
      signal,
    );
  }
}

async function definitionsOf({ api, signal }, scenario) {
  const page = await api.get(["v1", "states"], { scenario, limit: 1 }, signal);
  if (!page.states.length) return {};
  return (await api.get(["v1", "states", page.states[0].state_id], {}, signal)).definitions;
}
