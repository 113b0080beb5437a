// An episode at a slider: map, bands of greens, curves, and what is decided at a step.

import { Chart } from "./chart.js";
import { choice, fill, h, oncePerFrame, save } from "./dom.js";
import { markBand, paintBands, shareAt } from "./episode_bands.js";
import { curvesOf } from "./episode_curves.js";
import { SIDES } from "./episode_data.js";
import { showDecisions } from "./episode_decisions.js";
import { figuresOf, headOf, letterOf } from "./episode_head.js";
import { EpisodeMap } from "./episode_map.js";
import { bundle, drawingOfEpisode } from "./export.js";
import { LookAhead } from "./look_ahead.js";
import { clock } from "./words.js";

const PLAYED = [1, 2, 5, 10, 30, 60];
const OWN = ["ahead", "bands", "curves", "data", "decisions", "film", "head", "map", "board"];

/** What an episode looks like, and another one beside it. Moments are seconds after its begin. */
export class Board {
  constructor(view, episodes, geometry, definitions, mine) {
    Object.assign(this, { view, episodes, geometry, definitions, mine });
    const first = episodes[0].view;
    this.begin = first.begin_s;
    this.interval = first.control.interval_s;
    this.last = Math.max(...episodes.map((one) => one.moments.length - 1));
    this.length = Math.max(...episodes.map((one) => one.view.time_s)) - this.begin;
    this.viewport = { x: 0, y: 0, scale: 1 };
    this.shown = "";
    this.t = 0;
    this.speed = 10;
    this.isPlaying = false;
    this.redraw = oncePerFrame(() => this.draw());
  }

  /** The step that is under way at the moment; at the very end, the number of steps. */
  get step() {
    if (this.t >= this.length) return this.last;
    return Math.min(this.last, Math.floor(this.t / this.interval + 1e-9));
  }

  build() {
    this.locate();
    this.maps = this.episodes.map((episode, i) => new EpisodeMap(this, episode, i));
    this.bands = this.episodes.map((episode) =>
      h("canvas", {
        class: "bands",
        role: "img",
        "aria-label": `Greens of ${episode.view.signals.length} signals over time`,
        pointerdown: (event) => this.seek(shareAt(event) * this.last * this.interval),
        pointermove: (event) =>
          event.buttons && this.seek(shareAt(event) * this.last * this.interval),
      }),
    );
    this.charts = curvesOf(this.episodes).map((one) => {
      const canvas = h("canvas", { class: "chart small", role: "img", "aria-label": one.title });
      return { ...one, canvas, chart: new Chart(canvas) };
    });
    this.decisions = h("section", { class: "card", "aria-label": "Decisions of the step" });
    this.ahead = this.view.api ? new LookAhead(this) : null;
    const player = h(
      "section",
      { class: "player apart", "aria-label": "Episode", keydown: (event) => this.key(event) },
      h(
        "div",
        { class: "stage" },
        this.maps.map((one) => one.figure),
      ),
      this.controls(),
      this.bands.map((canvas, i) => [
        h(
          "p",
          { class: "legend" },
          letterOf(this.episodes, i),
          "green of each signal, by phase",
        ),
        canvas,
      ]),
      this.charts.map((one) => [h("p", { class: "legend" }, one.title), one.canvas]),
    );
    fill(
      this.view.main,
      headOf(this),
      figuresOf(this.episodes),
      player,
      this.view.api ? this.exports() : null,
      h("div", { class: "apart" }, this.decisions),
      this.ahead?.element,
    );
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(player);
    this.theme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.fit();
    this.theme.addEventListener("change", this.recolour);
    this.fit();
  }

  controls() {
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: this.length,
      step: 1,
      value: 0,
      "aria-label": "Seconds after the begin",
      input: () => this.seek(Number(this.slider.value)),
    });
    this.now = h("output", { class: "now" });
    this.note = h("p", { class: "legend", role: "status" });
    this.playButton = h("button", { class: "primary", click: () => this.toggle() }, "Play");
    const speeds = h(
      "select",
      { "aria-label": "Speed", change: () => (this.speed = Number(speeds.value)) },
      PLAYED.map((one) => h("option", { value: one, selected: one === this.speed }, `${one}×`)),
    );
    const places = [["", "the network"], ...this.places.map(([id]) => [id, id])];
    const where = this.geometry?.tls_id
      ? null
      : choice("Show", places, "", (id) => {
          this.shown = id;
          this.look();
        });
    const zooms = [
      ["Zoom in", "+", 1.3],
      ["Zoom out", "−", 1 / 1.3],
    ].map(([label, text, factor]) =>
      h("button", { "aria-label": label, title: label, click: () => this.zoom(factor) }, text),
    );
    return [
      h("div", { class: "controls" }, this.playButton, this.slider, this.now, speeds, ...zooms),
      h("div", { class: "controls where" }, this.geometry ? where : null, this.note),
    ];
  }

  exports() {
    const file = (ending) => `episode-${this.episodes[0].id.slice(0, 12)}.${ending}`;
    const drawing = () => new Blob([drawingOfEpisode(this)], { type: "image/svg+xml" });
    return h(
      "div",
      { class: "controls exports" },
      h("span", { class: "note" }, "Save as"),
      h("button", { click: async () => save(file("png"), await this.picture()) }, "PNG"),
      h("button", { click: () => save(file("svg"), drawing()) }, "SVG"),
      h("button", { click: async () => save(file("html"), await this.page()) }, "HTML"),
    );
  }

  /** Takes the room there is. */
  fit() {
    for (const map of this.maps) if (!map.fit()) return;
    if (!this.isViewed && this.geometry) this.look();
    for (const one of this.charts) {
      const box = one.canvas.getBoundingClientRect();
      if (!box.width) return;
      one.chart.recolour();
      one.chart.isTight = Boolean(one.isTight);
      one.chart.end = this.episodes[0].view.end_s - this.begin;
      one.chart.fit(box.width, box.height);
      one.chart.setSeries(
        one.series.map((values, i) => ({ values, step: one.step, colour: SIDES[i] })),
        0,
        one.series.length === 2,
        one.isMoreBetter,
      );
    }
    this.paintBands();
    this.told = null;
    this.draw();
  }

  paintBands() {
    this.bands.forEach((canvas, i) => paintBands(canvas, this.episodes[i], this.last));
  }

  /** Shows the chosen signal, or all of them. */
  look() {
    this.isViewed = true;
    const ids = this.shown ? [this.shown] : this.episodes[0].view.signals;
    Object.assign(this.viewport, this.maps[0].view(ids));
    this.redraw();
  }

  zoom(factor) {
    this.viewport.scale = Math.min(40, Math.max(0.02, this.viewport.scale * factor));
    this.redraw();
  }

  key(event) {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement)
      return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
    if (event.key === " " && !(event.target instanceof HTMLButtonElement)) this.toggle();
    else if (event.key in moves) this.seek(this.t + moves[event.key]);
    else return;
    event.preventDefault();
  }

  /** Goes to a moment. */
  seek(t) {
    this.t = Math.min(this.length, Math.max(0, Math.round(t)));
    this.redraw();
  }

  /** Plays, from the begin if it is at the end; or pauses. */
  toggle() {
    if (!this.isPlaying && this.t >= this.length) this.t = 0;
    this.isPlaying = !this.isPlaying;
    fill(this.playButton, this.isPlaying ? "Pause" : "Play");
    let before = performance.now();
    const frame = (now) => {
      if (!this.isPlaying || !this.playButton.isConnected) return;
      const passed = Math.max(0, now - before) / 1000;
      before = now;
      if (!this.isWaiting()) this.t = Math.min(this.length, this.t + passed * this.speed);
      this.draw();
      if (this.t >= this.length) this.toggle();
      else requestAnimationFrame(frame);
    };
    if (this.isPlaying) requestAnimationFrame(frame);
    else this.draw();
  }

  /** Whether the vehicles of the moment are on their way. */
  isWaiting() {
    return this.maps.some(({ film }) => film?.isComing(this.t));
  }

  draw() {
    this.fetchSoon();
    const { step } = this;
    for (const map of this.maps) map.draw(this.t, step);
    for (const { chart } of this.charts) chart.draw(this.t);
    const share = this.t / Math.max(1, this.last * this.interval);
    for (const canvas of this.bands) markBand(canvas, Math.min(1, share));
    this.slider.value = this.t;
    fill(this.now, `step ${step} · ${clock(this.begin + this.t)}`);
    this.sayLoading();
    if (this.told === step) return;
    this.told = step;
    showDecisions(this);
    this.ahead?.show();
  }

  sayLoading() {
    const troubles = this.maps.map(({ film }) => film?.trouble).filter(Boolean);
    const said = troubles.length
      ? `No vehicles can be shown: ${troubles[0]}`
      : this.isWaiting()
        ? "Repeating the episode to see its vehicles…"
        : "";
    if (this.note.textContent !== said) fill(this.note, said);
  }

  /** Fetches the vehicles of the moment once it has not changed for a little while. */
  fetchSoon() {
    clearTimeout(this.timer);
    if (this.isPlaying) return this.fetch();
    if (this.isWaiting()) this.timer = setTimeout(() => this.fetch(), 200);
  }

  fetch() {
    for (const { film } of this.maps) {
      film?.want(this.t);
      if (this.isPlaying) film?.want(Math.min(this.length, this.t + 20 * this.speed));
    }
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

  /** All of it in one file that opens without a server, with the vehicles that were looked at. */
  page() {
    const { geometry, definitions } = this;
    const episodes = this.episodes.map((one, i) => ({
      ...one,
      film: this.maps[i].film?.kept() ?? [],
    }));
    const start =
      'const shown = JSON.parse(document.getElementById("data").textContent);\nconst alone = { main: document.querySelector("main"), closing: [], go() {} };\nnew Board(alone, shown.episodes, shown.geometry, shown.definitions, []).build();\n';
    const modules = OWN.map((name) => `episode_${name}.js`);
    return bundle(modules, start, { episodes, geometry, definitions });
  }

  close() {
    this.isPlaying = false;
    clearTimeout(this.timer);
    this.observer.disconnect();
    this.theme.removeEventListener("change", this.recolour);
  }
}
