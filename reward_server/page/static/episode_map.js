// The network of an episode: vehicles and queues of a second, or what its signals show at a step.

import { h } from "./dom.js";
import { SIDES, controlWords, lightsOf } from "./episode_data.js";
import { Film, countsAt } from "./episode_film.js";
import { Scene, firstView, readTrace } from "./scene.js";
import { number } from "./words.js";

const DISC_PX = 26;

/** One of a board's maps. All maps share a viewport, so that they show the same place. */
export class EpisodeMap {
  constructor(board, episode, side) {
    Object.assign(this, { board, episode });
    const { geometry, view, definitions, viewport } = board;
    this.count = h("output", { class: "count" });
    this.canvas = geometry
      ? h("canvas", {
          class: "scene",
          role: "img",
          pointermove: (event) => event.buttons && this.pan(event),
        })
      : null;
    this.canvas?.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.figure = h(
      "figure",
      { class: `future ${SIDES[side]}` },
      h(
        "figcaption",
        {},
        h("span", { class: "letter" }, SIDES[side].toUpperCase()),
        h(
          "span",
          { class: "what" },
          h("strong", {}, controlWords(episode.view)),
          h("span", { class: "note" }, ` seed ${episode.view.seed}`),
        ),
        this.count,
      ),
      this.canvas ?? h("p", { class: "note" }, "The network of this scenario is not served here."),
    );
    if (!geometry) return;
    this.scene = new Scene(this.canvas, geometry, viewport);
    this.lights = readTrace(lightsOf(episode, definitions));
    this.film = new Film(view, episode, geometry.tls_id, () => board.redraw());
  }

  pan(event) {
    this.board.viewport.x -= event.movementX / this.board.viewport.scale;
    this.board.viewport.y += event.movementY / this.board.viewport.scale;
    this.board.redraw();
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.board.zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  }

  /** Takes the room there is; false if there is none. */
  fit() {
    if (!this.scene) return true;
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width) return false;
    this.scene.recolour();
    if (this.scene.width !== width || this.scene.height !== height) this.scene.fit(width, height);
    return true;
  }

  /** Draws the moment so many seconds after the begin, within a step. */
  draw(t, step) {
    const answer = this.episode.steps[step - 1]?.answer;
    const part = this.film?.at(t) ?? null;
    const second = part ? Math.min(part.last, Math.floor(t - part.begin + 1e-9)) : 0;
    const told = [answer ? `reward ${number(answer.reward, 2)}` : ""];
    if (part) {
      const { vehicles, standing } = countsAt(part, second);
      told.push(`${vehicles} vehicles`, `${standing} queueing`);
    }
    const text = told.filter(Boolean).join(" · ");
    if (this.count.textContent !== text) this.count.textContent = text;
    if (!this.scene) return;
    const shown = part ?? this.lights;
    if (this.scene.trace !== shown) {
      this.scene.trace = shown;
      this.scene.queues.clear();
    }
    this.at = part ? Math.min(part.last, t - part.begin) : Math.min(step, this.lights.last);
    this.scene.draw(this.at);
    if (!part && this.board.worst) this.drawDiscs(answer);
    if (!this.board.isPlaying) this.describe(text);
  }

  describe(text) {
    this.canvas.setAttribute(
      "aria-label",
      text ? `Network: ${text}` : "Network: what the signals show",
    );
  }

  /** A disc on each signal: the larger, the worse its own reward of the step. */
  drawDiscs(answer) {
    const { scene, board } = this;
    const pen = scene.canvas.getContext("2d");
    const zoom = scene.view.scale * scene.ratio;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = scene.colours.halted;
    pen.globalAlpha = 0.45;
    for (const [id, [x, y]] of board.places) {
      const reward = answer?.rewards[id];
      if (reward === null || reward === undefined) continue;
      pen.beginPath();
      pen.arc(
        scene.canvas.width / 2 + (x - scene.view.x) * zoom,
        scene.canvas.height / 2 - (y - scene.view.y) * zoom,
        DISC_PX * scene.ratio * Math.sqrt(Math.abs(reward) / board.worst),
        0,
        7,
      );
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /** What the map shows first: these signals, or everything where there are none. */
  view(tlsIds) {
    const { width, height } = this.scene;
    return firstView(this.board.geometry, tlsIds, width, height, tlsIds.length === 1 ? 60 : 80);
  }
}
