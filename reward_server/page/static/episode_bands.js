// The bands of an episode: the green of each signal over time, by phase.

import { h } from "./dom.js";

const ROW_PX = 18;
const LEFT_PX = 44;
const RIGHT_PX = 12;

/** Paints the bands of an episode that has so many steps. */
export function paintBands(canvas, episode, steps) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const height = episode.view.signals.length * ROW_PX;
  canvas.height = height * ratio;
  canvas.style.height = `${height}px`;
  const { width } = canvas.getBoundingClientRect();
  canvas.width = width * ratio;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  pen.scale(ratio, ratio);
  const one = (width - LEFT_PX - RIGHT_PX) / Math.max(1, steps);
  episode.view.signals.forEach((id, row) => {
    episode.moments.slice(0, -1).forEach((moment, step) => {
      const phase = moment.signals[id]?.current_phase;
      if (phase === undefined) return;
      pen.fillStyle = style.getPropertyValue(`--phase-${(phase >> 1) % 6}`);
      pen.fillRect(LEFT_PX + step * one, row * ROW_PX + 2, one + 0.4, ROW_PX - 5);
    });
    pen.fillStyle = style.getPropertyValue("--text");
    for (const step of otherwiseAt(episode, id)) {
      const middle = LEFT_PX + (step + 0.5) * one;
      pen.beginPath();
      pen.moveTo(middle - 4, row * ROW_PX);
      pen.lineTo(middle + 4, row * ROW_PX);
      pen.lineTo(middle, row * ROW_PX + 7);
      pen.fill();
    }
    pen.fillStyle = style.getPropertyValue("--soft");
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(id.slice(0, 6), 0, row * ROW_PX + 12, 40);
  });
  canvas.painted = h("canvas", { width: canvas.width, height: canvas.height });
  canvas.painted.getContext("2d").drawImage(canvas, 0, 0);
}

/** The steps at which looking ahead found a better decision of a signal than the one made. */
export function otherwiseAt(episode, id) {
  return Object.entries(episode.ahead)
    .filter(([, { signals }]) => (signals[id]?.regret ?? 0) > 0)
    .map(([step]) => Number(step));
}

/** A line at a share of the time. */
export function markBand(canvas, share) {
  const pen = canvas.getContext("2d");
  if (!canvas.painted) return;
  const ratio = canvas.width / canvas.getBoundingClientRect().width;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(canvas.painted, 0, 0);
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--text");
  pen.fillRect(
    (LEFT_PX + share * (canvas.width / ratio - LEFT_PX - RIGHT_PX)) * ratio,
    0,
    ratio,
    canvas.height,
  );
}

/** The share of the time that an event on a band points at; beyond its ends, below 0 or above 1. */
export function shareAt(event) {
  const box = event.target.getBoundingClientRect();
  return (event.clientX - box.left - LEFT_PX) / (box.width - LEFT_PX - RIGHT_PX);
}
