// One state: the junction, every legal decision, two futures, and a box for a completion.

import { Refusal } from "./api.js";
import { completionBox } from "./completion_box.js";
import { choice, fill, h } from "./dom.js";
import { exportsOf } from "./export.js";
import { Player } from "./player.js";
import { stateHash } from "./states.js";
import { clock, decisionWords, number } from "./words.js";

const KINDS = ["extend", "phase", "cycle", "plan"].map((kind) => [kind, kind]);
const REWARDS = ["queue_gain", "queue", "wait", "pressure", "speed", "delay"].map((name) => [
  name,
  name.replace("_", " "),
]);
/** The place of the program left alone, which is no decision. */
const ALONE = -1;
const HORIZONS = ["30", "60", "120", "300"].map((seconds) => [seconds, `${seconds} s`]);

/** Shows a state. */
export async function showState(view, stateId) {
  const state = await view.api.get(["v1", "states", stateId], {}, view.signal);
  await new StateView(view, state).open();
}

class StateView {
  constructor(view, state) {
    this.view = view;
    this.api = view.api;
    this.state = state;
    const asked = (name, fallback) => view.query.get(name) ?? fallback;
    const green = decidable(state);
    this.tls = asked("tls", green[0] ?? Object.keys(state.definitions).sort()[0]);
    this.kind = asked("kind", state.proven[this.tls] ?? "extend");
    this.reward = asked("reward", "queue_gain");
    this.horizon = asked("horizon", "60");
    this.picked = [null, null];
  }

  async open() {
    const { main, closing } = this.view;
    document.title = `${this.state.state_id} · Greenfork`;
    this.stageBox = h("div", {}, h("p", { class: "note wait" }, "Rolling out…"));
    this.rowsBox = h("section", { class: "card", "aria-label": "Decisions" });
    this.promptBox = h("section", { class: "card", "aria-label": "Prompt" });
    this.exportBox = h("div", { class: "controls" });
    fill(
      main,
      this.heading(),
      this.stageBox,
      h("div", { class: "columns" }, this.rowsBox, this.promptBox),
    );
    closing.push(() => this.player?.close());
    const scenario = this.state.scenario_id;
    const around = this.api.get(
      ["v1", "scenarios", scenario, "geometry"],
      { tls_id: this.tls },
      this.view.signal,
    );
    const [geometry] = await Promise.all([around, this.rank(), this.showPrompt()]);
    this.geometry = geometry;
    if (this.outcomes) await this.play();
  }

  heading() {
    const { state } = this;
    const change = (name) => (value) => {
      const asked = {
        tls: this.tls,
        kind: this.kind,
        reward: this.reward,
        horizon: this.horizon,
        [name]: value,
      };
      this.view.go(stateHash(state.state_id, asked));
    };
    const signals = Object.keys(state.definitions)
      .sort()
      .map((id) => [id, id.length > 28 ? `${id.slice(0, 27)}…` : id]);
    return h(
      "div",
      { class: "head" },
      h(
        "div",
        {},
        h(
          "h1",
          {},
          state.state_id.split("@")[0],
          " ",
          h("span", { class: "light" }, `at ${clock(state.time_s)}`),
        ),
        h("p", { class: "note" }, `${state.state_id} · seed ${state.seed} · ${this.shown()}`),
      ),
      h(
        "div",
        { class: "controls" },
        choice("Signal", signals, this.tls, change("tls")),
        choice("Decision", KINDS, this.kind, change("kind")),
        choice("Reward", REWARDS, this.reward, change("reward")),
        choice("Over", HORIZONS, this.horizon, change("horizon")),
      ),
    );
  }

  shown() {
    const now = this.state.signals[this.tls];
    return now
      ? `phase ${now.phase} shown for ${number(now.elapsed_s, 0)} s`
      : "nothing is known of this signal";
  }

  async rank() {
    try {
      this.outcomes = await this.explore({});
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(this.stageBox);
      fill(
        this.rowsBox,
        h("h2", {}, "Decisions"),
        h("p", {}, error.message),
        h("p", { class: "note" }, `code ${error.code}`),
      );
      return;
    }
    const count = this.outcomes.outcomes.filter((one) => one.status === "scored").length;
    this.picked = [0, Math.max(1, count - 1)];
    if (count < 2) this.picked = [0, this.outcomes.reference.metrics ? ALONE : null];
    this.showRows();
  }

  showRows() {
    const { outcomes, reference } = this.outcomes;
    const worst = Math.max(1e-9, ...outcomes.map((one) => one.regret ?? 0));
    const pick = (i, letter) =>
      h(
        "button",
        {
          class: `pick ${"ab"[letter]}`,
          "aria-pressed": String(this.picked[letter] === i),
          "aria-label": `Show as ${"AB"[letter]}: ${i < 0 ? "left alone" : decisionWords(outcomes[i].decision)}`,
          click: () => this.pick(i, letter),
        },
        "AB"[letter],
      );
    const bar = (regret) =>
      h("meter", {
        min: 0,
        max: worst,
        value: regret ?? 0,
        title: "regret",
        "aria-label": `regret ${number(regret, 3)}`,
      });
    const row = (one, i) =>
      h(
        "tr",
        { "data-row": i, class: one.rank === 1 ? "best" : null },
        h(
          "td",
          {},
          decisionWords(one.decision),
          one.error ? h("span", { class: "note" }, ` ${one.error.message}`) : null,
        ),
        h("td", { class: "number" }, number(one.reward, 3)),
        h("td", { class: "number" }, number(one.metrics?.queue_veh, 2)),
        h("td", { class: "number" }, number(one.regret, 3)),
        h("td", { class: "bar" }, i < 0 ? null : bar(one.regret)),
        h(
          "td",
          { class: "picks" },
          one.status === "failed" || !one.metrics ? null : [pick(i, 0), pick(i, 1)],
        ),
      );
    fill(
      this.rowsBox,
      h("h2", {}, "Every legal decision"),
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
              ["Decision", "Reward", "Queue", "Regret", "", "Show"].map((name, i) =>
                h(
                  "th",
                  { scope: "col", class: [null, "number", "number", "number", "bar", "picks"][i] },
                  name || h("span", { class: "unseen" }, "Regret as a bar"),
                ),
              ),
            ),
          ),
          h(
            "tbody",
            {},
            outcomes.map(row),
            row({ ...reference, decision: null, regret: null }, ALONE),
          ),
        ),
      ),
      h(
        "p",
        { class: "note" },
        `Queue: vehicles standing before the signal, on average over ${this.horizon} s. ${exactness(this.outcomes)}`,
      ),
    );
  }

  async pick(i, letter) {
    this.picked[letter] = i;
    this.showRows();
    this.rowsBox.querySelector(`[data-row="${i}"] .pick.${"ab"[letter]}`)?.focus();
    await this.play();
  }

  async play() {
    const chosen = this.picked
      .filter((i) => i !== null)
      .map((i) => (i === ALONE ? this.outcomes.reference : this.outcomes.outcomes[i]))
      .filter(Boolean);
    if (!chosen.length) {
      fill(this.stageBox, h("p", { class: "card" }, "No future could be computed."));
      return;
    }
    let futures;
    try {
      futures = await this.trace(chosen);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.player?.close();
      this.player = null;
      fill(
        this.stageBox,
        h(
          "p",
          { class: "card", role: "alert" },
          error.message,
          h("span", { class: "note" }, ` code ${error.code}`),
        ),
      );
      return;
    }
    if (this.view.signal.aborted) return;
    if (!this.player) {
      this.player = new Player(this.geometry, [this.tls]);
      fill(
        this.stageBox,
        this.player.element,
        exportsOf(this.player, () => this.state.state_id),
      );
    }
    this.player.show(futures);
    performance.mark("greenfork-first-view");
  }

  /** The traces of what is chosen; a key that may only look gets them out of all outcomes. */
  async trace(chosen) {
    let found;
    try {
      found = await Promise.all([this.traceDecisions(chosen), this.traceAlone(chosen)]);
      found = chosen.map((one) => (one.decision ? found[0].shift() : found[1]));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 403) throw error;
      const all = await this.explore({ trace: true });
      found = chosen.map((one) => (one.decision ? outcomeOf(all, one.decision) : all.reference));
    }
    const failed = found.find((one) => !one?.trace);
    if (failed)
      throw new Refusal(500, {
        detail: failed.error?.message ?? "no trace",
        code: failed.error?.code,
      });
    return found.map((one) => ({
      title: decisionWords(one.decision),
      note: ` reward ${number(one.reward, 3)} · queue ${number(one.metrics.queue_veh, 2)}`,
      trace: one.trace,
    }));
  }

  /** The decisions among what is chosen, scored with traces. */
  async traceDecisions(chosen) {
    const item = { state_id: this.state.state_id, tls_id: this.tls };
    const reward = { name: this.reward, horizon_s: Number(this.horizon) };
    const items = chosen
      .filter((one) => one.decision)
      .map((one) => ({ ...item, decision: one.decision }));
    if (!items.length) return [];
    const message = { items, reward, trace: true };
    return (await this.api.post(["v1", "score"], message, this.view.signal)).results;
  }

  /** The program left alone with its trace, if it is among what is chosen. */
  async traceAlone(chosen) {
    if (chosen.every((one) => one.decision)) return null;
    return (await this.explore({ reference_trace: true })).reference;
  }

  /** All outcomes once more, with something else about them. */
  explore(more) {
    const query = {
      tls_id: this.tls,
      kind: this.kind,
      reward: this.reward,
      horizon_s: this.horizon,
      ...more,
    };
    return this.api.get(["v1", "states", this.state.state_id, "outcomes"], query, this.view.signal);
  }

  completion() {
    const item = { state_id: this.state.state_id, tls_id: this.tls, decision_kind: this.kind };
    const reward = { name: this.reward, horizon_s: Number(this.horizon) };
    return completionBox(this.view, item, reward);
  }

  async showPrompt() {
    const box = h("div", {}, h("p", { class: "note" }, "Reading…"));
    fill(this.promptBox, h("h2", {}, "Prompt"), box, this.completion());
    try {
      const view = await this.api.get(
        ["v1", "states", this.state.state_id, "prompt"],
        { tls_id: this.tls },
        this.view.signal,
      );
      fill(
        box,
        view.prompt.map((message) =>
          h(
            "div",
            { class: "message" },
            h("span", { class: "role" }, message.role),
            h("pre", {}, message.content),
          ),
        ),
      );
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(box, h("p", { class: "note" }, error.message));
    }
  }
}

function outcomeOf({ outcomes }, decision) {
  const wanted = JSON.stringify(decision);
  return outcomes.find((one) => JSON.stringify(one.decision) === wanted);
}

function decidable(state) {
  return Object.keys(state.definitions)
    .sort()
    .filter((id) => {
      const now = state.signals[id];
      const phases = state.definitions[id].programs[now?.program_id]?.phases ?? [];
      const isGreen = (phase) => /[Gg]/.test(phase.state) && !/[yYuU]/.test(phase.state);
      return (
        now && phases[now.phase] && isGreen(phases[now.phase]) && phases.filter(isGreen).length > 1
      );
    })
    .sort((a, b) => Number(b in state.proven) - Number(a in state.proven));
}

function exactness({ fidelity, restore, simulator }) {
  const said = {
    own: "Exact: what plain SUMO shows of your own configuration",
    bundle: "Computed in a rewritten copy of the scenario",
    unchecked: "Not compared with plain SUMO",
  };
  return `${said[fidelity] ?? fidelity} (${simulator.name} ${simulator.version}, ${restore}).`;
}
