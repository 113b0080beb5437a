// Two futures of one moment, run in step: scenes, queue curves, a slider.

import { fill, h, oncePerFrame } from "./dom.js";
import { Chart } from "./chart.js";
import { Scene, firstView } from "./scene.js";
import { clock, number } from "./words.js";

const SPEEDS = [1, 2, 5, 10];
const LETTERS = ["a", "b"];

/** Shows futures: `{title, note, trace}`, one or two of them. */
export class Player {
  constructor(geometry, tlsIds) {
    this.geometry = geometry;
    this.tlsIds = tlsIds;
    this.futures = [];
    this.t = 0;
    this.speed = 5;
    this.isPlaying = false;
    this.view = { x: 0, y: 0, scale: 1 };
    this.scenes = [];
    this.queueDraw = oncePerFrame(() => this.draw());
    this.build();
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.element);
    this.theme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => {
      for (const drawn of [...this.scenes, this.chart]) drawn.recolour();
      this.queueDraw();
    };
    this.theme.addEventListener("change", this.recolour);
  }

  build() {
    this.stage = h("div", { class: "stage" });
    this.playButton = h(
      "button",
      { class: "primary", click: () => this.toggle(), "aria-label": "Play" },
      "Play",
    );
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: 60,
      step: 0.1,
      value: 0,
      "aria-label": "Seconds after the decision",
      input: () => this.seek(Number(this.slider.value)),
    });
    this.now = h("output", { class: "now" });
    const speeds = h(
      "select",
      {
        "aria-label": "Speed",
        change: () => {
          this.speed = Number(speeds.value);
        },
      },
      SPEEDS.map((speed) =>
        h("option", { value: speed, selected: speed === this.speed }, `${speed}×`),
      ),
    );
    const zooms = [
      ["Zoom in", "+", 1.3],
      ["Zoom out", "−", 1 / 1.3],
    ].map(([label, text, factor]) =>
      h("button", { "aria-label": label, title: label, click: () => this.zoom(factor) }, text),
    );
    const whole = h(
      "button",
      { title: "Back to the first view", click: () => this.reset() },
      "Fit",
    );
    const canvas = h("canvas", { class: "chart", role: "img", "aria-label": "Queue over time" });
    this.controls = h(
      "div",
      { class: "controls" },
      this.playButton,
      this.slider,
      this.now,
      speeds,
      ...zooms,
      whole,
    );
    this.legend = h("p", { class: "legend" });
    this.element = h(
      "section",
      { class: "player", "aria-label": "Futures", keydown: (event) => this.key(event) },
      this.stage,
      this.controls,
      this.legend,
      canvas,
    );
    this.chart = new Chart(canvas);
    canvas.addEventListener("pointerdown", (event) => this.scrub(event));
    canvas.addEventListener("pointermove", (event) => event.buttons && this.scrub(event));
  }

  /** Shows these futures from now on, at the same second. */
  show(futures) {
    this.futures = futures;
    if (this.scenes.length !== futures.length) this.makeScenes();
    futures.forEach((future, i) => {
      this.scenes[i].setTrace(future.trace);
      const [title, note] = this.heads[i];
      fill(title, future.title);
      fill(note, future.note ?? "");
    });
    this.last = Math.max(...futures.map((future) => future.trace.frames.length - 1));
    this.slider.max = this.last;
    const same =
      futures.length === 2 &&
      String(futures[0].trace.queue_veh) === String(futures[1].trace.queue_veh);
    const mean = futures.map(
      (one) =>
        one.trace.queue_veh.reduce((sum, value) => sum + value, 0) / one.trace.queue_veh.length,
    );
    fill(
      this.legend,
      "Vehicles queueing before the signal, second by second",
      same
        ? "; both futures have the same queue"
        : futures.length === 2
          ? `; on average ${number(Math.abs(mean[0] - mean[1]), 2)} fewer with ${mean[0] < mean[1] ? "A" : "B"}`
          : "",
    );
    this.chart.setSeries(
      futures.map((future, i) => ({ values: withStart(future.trace), colour: LETTERS[i] })),
    );
    this.t = Math.min(this.t, this.last);
    this.fit();
  }

  makeScenes() {
    this.heads = [];
    this.scenes = [];
    fill(
      this.stage,
      this.futures.map((_, i) => {
        const canvas = h("canvas", { class: "scene", role: "img" });
        const [title, note, count] = [
          h("strong"),
          h("span", { class: "note" }),
          h("output", { class: "count" }),
        ];
        this.heads.push([title, note, count]);
        canvas.addEventListener("pointermove", (event) => event.buttons && this.pan(event));
        canvas.addEventListener(
          "wheel",
          (event) => {
            if (event.ctrlKey || event.metaKey) {
              event.preventDefault();
              this.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
            }
          },
          { passive: false },
        );
        const figure = h(
          "figure",
          { class: `future ${LETTERS[i]}` },
          h(
            "figcaption",
            {},
            h("span", { class: "letter" }, LETTERS[i].toUpperCase()),
            h("span", { class: "what" }, title, note),
            count,
          ),
          canvas,
        );
        this.scenes.push(new Scene(canvas, this.geometry, this.view));
        return figure;
      }),
    );
    for (const scene of this.scenes) scene.recolour();
  }

  /** Takes the room there is. */
  fit() {
    if (!this.futures.length || !this.element.isConnected) return;
    for (const drawn of [...this.scenes, this.chart]) if (!drawn.colours.ground) drawn.recolour();
    for (const scene of this.scenes) {
      const box = scene.canvas.getBoundingClientRect();
      if (!box.width) return;
      if (box.width !== scene.width || box.height !== scene.height)
        scene.fit(box.width, box.height);
    }
    if (!this.isViewed) this.reset();
    const box = this.chart.canvas.getBoundingClientRect();
    if (box.width !== this.chart.width || box.height !== this.chart.height)
      this.chart.fit(box.width, box.height);
    this.draw();
  }

  /** Shows the signals again as at first. */
  reset() {
    this.isViewed = true;
    Object.assign(
      this.view,
      firstView(this.geometry, this.tlsIds, this.scenes[0].width, this.scenes[0].height),
    );
    this.queueDraw();
  }

  zoom(factor) {
    this.view.scale = Math.min(40, Math.max(0.05, this.view.scale * factor));
    this.queueDraw();
  }

  pan(event) {
    this.view.x -= event.movementX / this.view.scale;
    this.view.y += event.movementY / this.view.scale;
    this.queueDraw();
  }

  scrub(event) {
    const box = this.chart.canvas.getBoundingClientRect();
    const { plot } = this.chart.layout;
    this.seek(((event.clientX - box.left - plot.left) / (plot.right - plot.left)) * this.last);
  }

  key(event) {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement)
      return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 };
    if (event.key === " " && !(event.target instanceof HTMLButtonElement)) this.toggle();
    else if (event.key in steps) this.seek(this.t + steps[event.key]);
    else return;
    event.preventDefault();
  }

  /** Goes to a moment, seconds after the state's. */
  seek(t) {
    this.t = Math.min(this.last, Math.max(0, t));
    this.queueDraw();
  }

  /** Plays, from the begin if it is at the end; or pauses. */
  toggle() {
    if (!this.isPlaying && this.t >= this.last) this.t = 0;
    this.isPlaying = !this.isPlaying;
    fill(this.playButton, this.isPlaying ? "Pause" : "Play").setAttribute(
      "aria-label",
      this.isPlaying ? "Pause" : "Play",
    );
    let before = performance.now();
    const step = (now) => {
      if (!this.isPlaying || !this.element.isConnected) return;
      // A frame may have begun before the click that it follows.
      this.t = Math.min(this.last, this.t + (Math.max(0, now - before) / 1000) * this.speed);
      before = now;
      this.draw();
      if (this.t >= this.last) this.toggle();
      else requestAnimationFrame(step);
    };
    if (this.isPlaying) requestAnimationFrame(step);
    else this.draw();
  }

  draw() {
    if (!this.scenes.length || !this.scenes[0].width) return;
    this.scenes.forEach((scene, i) => {
      scene.draw(this.t);
      const queue = withStart(this.futures[i].trace)[Math.floor(this.t)];
      setText(this.heads[i][2], queue === null ? "" : `${queue} queueing`);
    });
    this.chart.draw(this.t);
    this.slider.value = this.t;
    const moment = this.futures[0].trace.time_s;
    setText(this.now, `+${number(this.t, 1)} s · ${clock(moment + this.t)}`);
    if (!this.isPlaying) this.describe();
  }

  /** Says what is to be seen, for those who do not see it. */
  describe() {
    const second = Math.floor(this.t);
    this.scenes.forEach((scene, i) => {
      const { trace } = scene;
      const shown = this.tlsIds
        .map((id) => `signal ${id} shows ${trace.signals[id]?.[second] ?? "nothing"}`)
        .join(", ");
      scene.canvas.setAttribute(
        "aria-label",
        `Future ${LETTERS[i].toUpperCase()} after ${second} s: ${trace.frames[second]?.length / 5 || 0} vehicles; ${shown}`,
      );
    });
    const text = this.futures
      .map((one, i) => `${LETTERS[i].toUpperCase()} ${withStart(one.trace)[second] ?? "–"}`)
      .join(", ");
    this.chart.canvas.setAttribute(
      "aria-label",
      `Queue over ${this.last} s; after ${second} s: ${text}`,
    );
  }

  /** Ends. */
  close() {
    this.isPlaying = false;
    this.observer.disconnect();
    this.theme.removeEventListener("change", this.recolour);
  }
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The queue by second, the moment itself included, where nobody has counted: null. */
function withStart(trace) {
  if (!trace.curve) trace.curve = [null, ...trace.queue_veh];
  return trace.curve;
}
