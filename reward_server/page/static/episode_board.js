// An episode at a slider: map, bands of greens, curves, and what is decided at a step.

import { Chart } from "./chart.js";
import { choice, fill, h, oncePerFrame, save } from "./dom.js";
import { markBand, paintBands, shareAt } from "./episode_bands.js";
import { SIDES, controlWords, episodeHash, flowsOf, lightsOf } from "./episode_data.js";
import { showDecisions } from "./episode_decisions.js";
import { bundle, drawingOfEpisode } from "./export.js";
import { lookAhead } from "./look_ahead.js";
import { Scene, firstView, readTrace } from "./scene.js";
import { clock, number } from "./words.js";

/** What an episode looks like, and another one beside it. */
export class Board {
  constructor(view, episodes, geometry, definitions, mine) {
    Object.assign(this, { view, episodes, geometry, definitions, mine });
    const first = episodes[0].view;
    this.begin = first.begin_s;
    this.interval = first.control.interval_s;
    this.last = Math.max(...episodes.map((one) => one.moments.length - 1));
    this.step = 0;
    this.isPlaying = false;
    this.redraw = oncePerFrame(() => this.draw());
  }

  build() {
    this.locate();
    const { view: first } = this.episodes[0];
    const file = (ending) => `episode-${first.episode_id.slice(0, 12)}.${ending}`;
    const exports = h(
      "div",
      { class: "controls exports" },
      h("span", { class: "note" }, "Save as"),
      h("button", { click: async () => save(file("png"), await this.picture()) }, "PNG"),
      h(
        "button",
        {
          click: () =>
            save(file("svg"), new Blob([drawingOfEpisode(this)], { type: "image/svg+xml" })),
        },
        "SVG",
      ),
      h("button", { click: async () => save(file("html"), await this.page()) }, "HTML"),
    );
    const others = this.mine
      .filter((one) => one.episode_id !== first.episode_id)
      .map((one) => [
        one.episode_id,
        `${one.episode_id.slice(0, 8)} · ${controlWords(one)} · seed ${one.seed}`,
      ]);
    const beside = choice(
      "Compare with",
      [["", "nothing"], ...others],
      this.episodes[1]?.id ?? "",
      (id) => this.view.go(episodeHash(first.episode_id, { beside: id })),
    );
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: this.last,
      step: 1,
      value: 0,
      "aria-label": "Step",
      input: () => this.seek(Number(this.slider.value)),
    });
    this.now = h("output", { class: "now" });
    this.playButton = h("button", { class: "primary", click: () => this.toggle() }, "Play");
    this.maps = this.episodes.map((episode, i) => this.map(episode, i));
    this.bands = this.episodes.map((episode) =>
      h("canvas", {
        class: "bands",
        role: "img",
        "aria-label": `Greens of ${episode.view.signals.length} signals over time`,
        pointerdown: (event) => this.scrub(event),
        pointermove: (event) => event.buttons && this.scrub(event),
      }),
    );
    this.charts = this.curves().map((one) => {
      const canvas = h("canvas", { class: "chart small", role: "img", "aria-label": one.title });
      return { ...one, canvas, chart: new Chart(canvas) };
    });
    this.decisions = h("section", { class: "card", "aria-label": "Decisions of the step" });
    const stage = h(
      "div",
      { class: "stage" },
      this.maps.map((one) => one.figure),
    );
    fill(
      this.view.main,
      h(
        "div",
        { class: "head" },
        h(
          "div",
          {},
          h(
            "h1",
            {},
            first.scenario_id.replace(/-[0-9a-f]{12}$/, ""),
            h("span", { class: "light" }, ` from ${clock(this.begin)} to ${clock(first.end_s)}`),
          ),
          h("p", { class: "note" }, `${first.episode_id} · seed ${first.seed} · ${first.status}`),
        ),
        h("div", { class: "controls" }, this.view.api ? beside : null),
      ),
      this.figures(),
      h(
        "section",
        { class: "player apart", "aria-label": "Episode" },
        stage,
        h("div", { class: "controls" }, this.playButton, this.slider, this.now),
        this.bands.map((canvas, i) => [
          h("p", { class: "legend" }, this.name(i), "green of each signal, by phase"),
          canvas,
        ]),
        this.charts.map((one) => [h("p", { class: "legend" }, one.title), one.canvas]),
      ),
      this.view.api ? exports : null,
      h("div", { class: "apart" }, this.decisions),
      this.view.api && first.status === "running" ? lookAhead(this.view, this.episodes[0]) : null,
    );
    for (const one of this.maps) if (one.canvas) this.makeScene(one);
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(stage.parentElement);
    this.fit();
  }

  name(i) {
    return this.episodes.length > 1
      ? h("span", { class: `letter ${SIDES[i]}` }, `${SIDES[i].toUpperCase()} `)
      : null;
  }

  map(episode, i) {
    const canvas = this.geometry
      ? h("canvas", { class: "scene", role: "img", "aria-label": "Signals of the network" })
      : null;
    const reward = h("output", { class: "count" });
    const figure = h(
      "figure",
      { class: `future ${SIDES[i]}` },
      h(
        "figcaption",
        {},
        h("span", { class: "letter" }, SIDES[i].toUpperCase()),
        h(
          "span",
          { class: "what" },
          h("strong", {}, controlWords(episode.view)),
          h("span", { class: "note" }, ` seed ${episode.view.seed}`),
        ),
        reward,
      ),
      canvas ?? h("p", { class: "note" }, "The network of this scenario is not served here."),
    );
    return { figure, canvas, reward, episode };
  }

  makeScene(one) {
    one.view = { x: 0, y: 0, scale: 1 };
    one.scene = new Scene(one.canvas, this.geometry, one.view);
    one.scene.recolour();
    one.scene.trace = readTrace(lightsOf(one.episode, this.definitions));
  }

  figures() {
    const rows = [
      ["Delay", "delay_s", 1, "s"],
      ["Trip", "travel_time_s", 1, "s"],
      ["Queue", "queue_veh", 2, ""],
      ["Arrived", "throughput_veh", 0, ""],
      ["Not departed", "backlog_veh", 0, ""],
      ["Switches", "switches", 0, ""],
      ["Teleports", "teleports", 0, ""],
    ];
    if (!this.episodes.some((one) => one.result))
      return h("p", { class: "note" }, "It is not finished; its figures come with its end.");
    return h(
      "dl",
      { class: "tiles" },
      rows.map(([name, key, decimals, unit]) =>
        h(
          "div",
          { "data-figure": key },
          h("dt", {}, name),
          this.episodes.map((one, i) =>
            h(
              "dd",
              {},
              this.name(i),
              one.result ? `${number(one.result[key], decimals)} ${unit}`.trim() : "–",
            ),
          ),
        ),
      ),
    );
  }

  curves() {
    const found = [
      {
        title: `Reward of each step: ${this.episodes[0].view.reward.name}`,
        step: this.interval,
        series: this.episodes.map((one) => [null, ...one.steps.map((step) => step.answer.reward)]),
      },
    ];
    if (this.episodes.every((one) => one.trips)) {
      const flows = this.episodes.map((one) =>
        flowsOf(one.trips, one.view.begin_s, one.view.end_s),
      );
      found.push({
        title: "Vehicles on the way, at each minute",
        step: 60,
        series: flows.map((flow) => flow.running),
      });
      found.push({
        title: "Arrivals in each minute",
        step: 60,
        series: flows.map((flow) => flow.arrived),
      });
    }
    return found;
  }

  fit() {
    for (const { scene, canvas, view } of this.maps) {
      if (!scene) continue;
      const box = canvas.getBoundingClientRect();
      if (!box.width) return;
      if (scene.width !== box.width) scene.fit(box.width, box.height);
      Object.assign(
        view,
        firstView(this.geometry, this.episodes[0].view.signals, box.width, box.height, 80),
      );
    }
    for (const one of this.charts) {
      const box = one.canvas.getBoundingClientRect();
      if (!box.width) return;
      one.chart.recolour();
      one.chart.isTight = one.step === this.interval;
      one.chart.end = this.episodes[0].view.end_s - this.begin;
      one.chart.fit(box.width, box.height);
      one.chart.setSeries(
        one.series.map((values, i) => ({ values, step: one.step, colour: SIDES[i] })),
        0,
        false,
      );
    }
    this.bands.forEach((canvas, i) => paintBands(canvas, this.episodes[i], this.last));
    this.draw();
  }

  scrub(event) {
    this.seek(Math.round(shareAt(event) * this.last));
  }

  seek(step) {
    this.step = Math.min(this.last, Math.max(0, step));
    this.redraw();
  }

  toggle() {
    if (!this.isPlaying && this.step >= this.last) this.step = 0;
    this.isPlaying = !this.isPlaying;
    fill(this.playButton, this.isPlaying ? "Pause" : "Play");
    clearInterval(this.timer);
    if (this.isPlaying)
      this.timer = setInterval(
        () => (this.step >= this.last ? this.toggle() : this.seek(this.step + 1)),
        100,
      );
  }

  draw() {
    const at = this.step * this.interval;
    for (const { scene, reward, episode } of this.maps) {
      const step = episode.steps[this.step - 1];
      fill(reward, step ? `reward ${number(step.answer.reward, 2)}` : "");
      scene?.draw(Math.min(this.step, episode.moments.length - 1));
      if (scene && this.worst) this.drawLoads(scene, step);
    }
    for (const { chart } of this.charts) chart.draw(at);
    for (const canvas of this.bands) markBand(canvas, this.step / Math.max(1, this.last));
    this.slider.value = this.step;
    fill(this.now, `step ${this.step} · ${clock(this.begin + at)}`);
    showDecisions(this);
  }

  /** A disc on each signal: the larger, the worse its own reward of the step. */
  drawLoads(scene, step) {
    const pen = scene.canvas.getContext("2d");
    const zoom = scene.view.scale * scene.ratio;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = scene.colours.halted;
    pen.globalAlpha = 0.45;
    for (const [id, [x, y]] of this.places) {
      const reward = step?.answer.rewards[id];
      if (reward === null || reward === undefined) continue;
      pen.beginPath();
      pen.arc(
        scene.canvas.width / 2 + (x - scene.view.x) * zoom,
        scene.canvas.height / 2 - (y - scene.view.y) * zoom,
        26 * scene.ratio * Math.sqrt(Math.abs(reward) / this.worst),
        0,
        7,
      );
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /** Where signals stand, and the worst reward of one of its own, where rewards are that. */
  locate() {
    const { signals, reward } = this.episodes[0].view;
    this.places = signals
      .map((id) => {
        const lines = (this.geometry?.stop_lines ?? []).filter((line) => line.tls_id === id);
        const mean = (i) =>
          lines.reduce((sum, line) => sum + (line.ends[i] + line.ends[i + 2]) / 2, 0) /
          lines.length;
        return [id, [mean(0), mean(1)]];
      })
      .filter(([, [x]]) => Number.isFinite(x));
    const own = ["queue", "wait", "pressure"].includes(reward.name);
    const all = this.episodes.flatMap((one) =>
      one.steps.flatMap((step) =>
        Object.values(step.answer.rewards).map((value) => Math.abs(value ?? 0)),
      ),
    );
    this.worst = own ? all.reduce((most, value) => Math.max(most, value), 0) : 0;
  }

  /** Maps, bands and curves below each other. */
  picture() {
    const canvases = [
      ...this.maps.map((one) => one.canvas).filter(Boolean),
      ...this.bands,
      ...this.charts.map((one) => one.canvas),
    ];
    const width = Math.max(...canvases.map((one) => one.width)) + 24;
    const height = canvases.reduce((sum, one) => sum + one.height + 12, 12);
    const canvas = h("canvas", { width, height });
    const pen = canvas.getContext("2d");
    pen.fillStyle = this.charts[0].chart.colours.ground;
    pen.fillRect(0, 0, width, height);
    let top = 12;
    for (const one of canvases) {
      pen.drawImage(one, 12, top);
      top += one.height + 12;
    }
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /** All of it in one file that opens without a server. */
  page() {
    const { episodes, geometry, definitions } = this;
    const start =
      'const shown = JSON.parse(document.getElementById("data").textContent);\nconst alone = { main: document.querySelector("main"), closing: [], go() {} };\nnew Board(alone, shown.episodes, shown.geometry, shown.definitions, []).build();\n';
    const modules = ["bands", "data", "decisions", "board"].map((name) => `episode_${name}.js`);
    return bundle(["export.js", ...modules], start, { episodes, geometry, definitions });
  }

  close() {
    this.isPlaying = false;
    clearInterval(this.timer);
    this.observer.disconnect();
  }
}
