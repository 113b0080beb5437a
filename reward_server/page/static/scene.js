// A junction and its traffic on a canvas: lanes, stop lines in their signals' colours, vehicles.

import { NEAR, loadShare, loadsAt, partOf, queuesOf } from "./queues.js";

const HEADS = { G: "go", g: "go", y: "soon", Y: "soon", u: "soon", r: "stop", R: "stop", s: "go" };
const NAMES = [
  "ground",
  "road",
  "edge",
  "foot",
  "rail",
  "bicycle",
  "go",
  "soon",
  "stop",
  "off",
  "moving",
  "halted",
  "queue",
  "text",
];
const JUMP_M = 60;

/** The colours of the theme, by what they are for. */
export function themeColours(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(
    NAMES.map((name) => [name, style.getPropertyValue(`--scene-${name}`).trim()]),
  );
}

/** The colour that a letter of a signal's state stands for. */
export function headColour(letter, colours) {
  return colours[HEADS[letter] ?? "off"];
}

/** What is drawn first: the stop lines of a signal, and some room around them. */
export function firstView(geometry, tlsIds, width, height, marginM = 60) {
  let lines = geometry.stop_lines.filter((line) => tlsIds.includes(line.tls_id));
  if (!lines.length) lines = geometry.stop_lines;
  const xs = lines.flatMap((line) => [line.ends[0], line.ends[2]]);
  const ys = lines.flatMap((line) => [line.ends[1], line.ends[3]]);
  const [west, south, east, north] = xs.length
    ? [
        Math.min(...xs) - marginM,
        Math.min(...ys) - marginM,
        Math.max(...xs) + marginM,
        Math.max(...ys) + marginM,
      ]
    : geometry.box;
  return {
    x: (west + east) / 2,
    y: (south + north) / 2,
    scale: Math.min(width / (east - west || 1), height / (north - south || 1)),
  };
}

/** A trace made ready for drawing: where each vehicle of a second stands in the next one. */
export function readTrace(trace) {
  const places = trace.frames.map((frame) => {
    const offsets = new Int32Array(trace.vehicles.length).fill(-1);
    for (let offset = 0; offset < frame.length; offset += 5) offsets[frame[offset]] = offset;
    return offsets;
  });
  return { ...trace, places, last: trace.frames.length - 1 };
}

/** Every vehicle at a moment between two seconds: [place, x, y, angle, metres a second]. */
export function vehiclesAt(trace, t) {
  const second = Math.min(Math.floor(t), trace.last);
  const share = t - second;
  const frame = trace.frames[second];
  const next = second < trace.last ? trace.frames[second + 1] : null;
  const found = [];
  for (let offset = 0; offset < frame.length; offset += 5) {
    const place = frame[offset];
    let [x, y, angle, speed] = [
      frame[offset + 1],
      frame[offset + 2],
      frame[offset + 3],
      frame[offset + 4],
    ];
    const other = next ? trace.places[second + 1][place] : -1;
    if (other >= 0 && share > 0) {
      const dx = next[other + 1] - x;
      const dy = next[other + 2] - y;
      if (Math.abs(dx) + Math.abs(dy) < JUMP_M * 10) {
        x += dx * share;
        y += dy * share;
        angle += (((((next[other + 3] - angle) % 360) + 540) % 360) - 180) * share;
        speed += (next[other + 4] - speed) * share;
      }
    }
    found.push([place, x / 10, y / 10, angle, speed / 10]);
  }
  return found;
}

/** A junction on a canvas. Its view may be another scene's, so that both show the same. */
export class Scene {
  constructor(canvas, geometry, view) {
    this.canvas = canvas;
    this.geometry = geometry;
    this.view = view;
    this.trace = null;
    this.queues = new Map();
    this.paths = new Map();
    this.lanes = new Map(geometry.lanes.map((lane) => [lane.id, lane]));
    this.heads = geometry.stop_lines.filter((line) => this.lanes.has(line.lane));
    this.incoming = [...new Set(this.heads.map((line) => line.lane))].map((id) =>
      this.lanes.get(id),
    );
    this.vias = geometry.signals.flatMap((signal) =>
      signal.links.map((link) => [signal.tls_id, link.index, this.lanes.get(link.via_lane)]),
    );
    this.ground = document.createElement("canvas");
    this.drawn = "";
    this.recolour();
  }

  /** Reads the theme anew. */
  recolour() {
    this.colours = themeColours(this.canvas);
    this.drawn = "";
  }

  /** Shows a future. */
  setTrace(trace) {
    this.trace = readTrace(trace);
    this.queues.clear();
  }

  /** Makes the canvas as fine as the screen. */
  fit(width, height, ratio = Math.min(2, globalThis.devicePixelRatio || 1)) {
    this.ratio = ratio;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.drawn = "";
  }

  /** Draws the moment so many seconds after the state's. */
  draw(t) {
    if (!this.canvas.width || !this.canvas.height) return;
    const pen = this.canvas.getContext("2d", { alpha: false });
    this.drawGround();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(this.ground, 0, 0);
    if (!this.trace) return;
    const second = Math.min(Math.floor(t), this.trace.last);
    this.aim(pen);
    this.drawQueues(pen, second);
    this.drawWays(pen, second);
    this.drawHeads(pen, second);
    this.drawVehicles(pen, t);
  }

  aim(pen) {
    const zoom = this.view.scale * this.ratio;
    pen.setTransform(
      zoom,
      0,
      0,
      -zoom,
      this.canvas.width / 2 - this.view.x * zoom,
      this.canvas.height / 2 + this.view.y * zoom,
    );
  }

  drawGround() {
    const key = [
      this.view.x,
      this.view.y,
      this.view.scale,
      this.canvas.width,
      this.canvas.height,
    ].join();
    if (key === this.drawn) return;
    this.drawn = key;
    this.ground.width = this.canvas.width;
    this.ground.height = this.canvas.height;
    const pen = this.ground.getContext("2d", { alpha: false });
    pen.fillStyle = this.colours.ground;
    pen.fillRect(0, 0, this.ground.width, this.ground.height);
    this.aim(pen);
    paintGround(pen, this.geometry, this.colours);
  }

  drawQueues(pen, second) {
    if (this.trace.queues && this.view.scale < NEAR) return this.drawLoads(pen, second);
    if (!this.queues.has(second))
      this.queues.set(second, queuesOf(this.queueing(second), this.trace, second));
    pen.strokeStyle = this.colours.queue;
    for (const { lane, begin, reach, vehicles } of this.queues.get(second)) {
      if (!vehicles) continue;
      pen.lineWidth = lane.width_m;
      line(pen, partOf(lane.points, begin, reach));
    }
  }

  /** The lanes on which a queue may stand; an episode's trace names them. */
  queueing(second) {
    if (!this.trace.queues) return this.incoming;
    const names = new Set(loadsAt(this.trace, second).map(([lane]) => lane));
    return this.incoming.filter((lane) => names.has(lane.id));
  }

  /** From afar, lanes are coloured: the more, the larger the part that standing vehicles take. */
  drawLoads(pen, second) {
    pen.strokeStyle = this.colours.halted;
    for (const [lane, vehicles] of loadsAt(this.trace, second)) {
      const { points, width_m: width } = this.lanes.get(lane) ?? { points: [] };
      if (!points.length) continue;
      pen.globalAlpha = loadShare(vehicles, points);
      pen.lineWidth = Math.max(width, 4 / this.view.scale);
      line(pen, points);
    }
    pen.globalAlpha = 1;
  }

  drawWays(pen, second) {
    pen.globalAlpha = 0.35;
    pen.strokeStyle = this.colours.go;
    pen.lineWidth = 0.8;
    pen.beginPath();
    for (const [tlsId, index, lane] of this.vias) {
      const letter = this.trace.signals[tlsId]?.[second]?.[index];
      if (lane && (letter === "G" || letter === "g")) trail(pen, lane.points);
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  drawHeads(pen, second) {
    pen.lineWidth = Math.max(1.1, 3 / this.view.scale);
    for (const head of this.heads) {
      const state = this.trace.signals[head.tls_id]?.[second] ?? "";
      const [x0, y0, x1, y1] = head.ends;
      head.links.forEach((link, i) => {
        const [from, to] = [i / head.links.length, (i + 1) / head.links.length];
        pen.strokeStyle = headColour(state[link], this.colours);
        line(pen, [
          x0 + (x1 - x0) * from,
          y0 + (y1 - y0) * from,
          x0 + (x1 - x0) * to,
          y0 + (y1 - y0) * to,
        ]);
      });
    }
  }

  drawVehicles(pen, t) {
    const zoom = this.view.scale * this.ratio;
    const wide = Math.max(1.8, 2.6 / this.view.scale);
    const left = this.canvas.width / 2 - this.view.x * zoom;
    const top = this.canvas.height / 2 + this.view.y * zoom;
    const vehicles = vehiclesAt(this.trace, t);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    for (const isHalted of [false, true]) {
      pen.fillStyle = isHalted ? this.colours.halted : this.colours.moving;
      pen.beginPath(); // one for all: a path a vehicle takes twice as long
      for (const [place, x, y, angle, speed] of vehicles) {
        if (speed < 0.1 !== isHalted) continue;
        const turn = (angle * Math.PI) / 180;
        const [east, north] = [Math.sin(turn) * zoom, Math.cos(turn) * zoom];
        const length = this.trace.lengths_dm[place] / 10;
        const [px, py] = [left + x * zoom, top - y * zoom];
        if (px < -50 || py < -50 || px > this.canvas.width + 50 || py > this.canvas.height + 50)
          continue;
        const [ax, ay] = [(north * wide) / 2, (east * wide) / 2]; // to the right, on the screen
        pen.moveTo(px - ax * 0.7, py - ay * 0.7);
        pen.lineTo(px + ax * 0.7, py + ay * 0.7);
        pen.lineTo(px + ax - east * 0.6, py + ay + north * 0.6);
        pen.lineTo(px + ax - east * length, py + ay + north * length);
        pen.lineTo(px - ax - east * length, py - ay + north * length);
        pen.lineTo(px - ax - east * 0.6, py - ay + north * 0.6);
        pen.closePath();
      }
      pen.fill();
    }
  }
}

/** Lanes and junctions. */
export function paintGround(pen, geometry, colours) {
  pen.lineJoin = "round";
  pen.lineCap = "butt";
  const kinds = (...names) => geometry.lanes.filter((lane) => names.includes(lane.kind));
  pen.strokeStyle = colours.foot;
  for (const lane of kinds("foot")) stroke(pen, lane, lane.width_m);
  pen.fillStyle = colours.road;
  for (const junction of geometry.junctions) {
    pen.beginPath();
    trail(pen, junction.points);
    pen.closePath();
    pen.fill();
  }
  pen.strokeStyle = colours.edge;
  for (const lane of kinds("road")) stroke(pen, lane, lane.width_m + 0.35);
  pen.strokeStyle = colours.road;
  for (const lane of kinds("road")) stroke(pen, lane, lane.width_m - 0.15);
  pen.strokeStyle = colours.bicycle;
  for (const lane of kinds("bicycle")) stroke(pen, lane, lane.width_m);
  pen.strokeStyle = colours.rail;
  for (const lane of kinds("rail")) stroke(pen, lane, 0.9);
}

function stroke(pen, lane, width) {
  pen.lineWidth = width;
  line(pen, lane.points);
}

function line(pen, points) {
  pen.beginPath();
  trail(pen, points);
  pen.stroke();
}

function trail(pen, points) {
  pen.moveTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) pen.lineTo(points[i], points[i + 1]);
}
