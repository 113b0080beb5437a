// What is shown, as a picture or as a page that opens without a server.

import { h, save } from "./dom.js";
import { differenceOf, layoutOf } from "./chart.js";
import { NEAR, loadShare, loadsAt, partOf, queuesOf } from "./queues.js";
import { headColour, vehiclesAt } from "./scene.js";

const MODULES = ["dom.js", "words.js", "queues.js", "scene.js", "chart.js", "player.js"];
const SVG = "http://www.w3.org/2000/svg";

/** Buttons that save what a player shows. */
export function exportsOf(player, name) {
  const file = (ending) => `${name().replace(/[^A-Za-z0-9@._-]+/g, "-")}.${ending}`;
  return h(
    "div",
    { class: "controls exports" },
    h("span", { class: "note" }, "Save as"),
    h("button", { click: async () => save(file("png"), await pictureOf(player)) }, "PNG"),
    h(
      "button",
      { click: () => save(file("svg"), new Blob([drawingOf(player)], { type: "image/svg+xml" })) },
      "SVG",
    ),
    h("button", { click: async () => save(file("html"), await pageOf(player, name())) }, "HTML"),
  );
}

/** Scenes and curves beside and below each other, as they are on the screen. */
export async function pictureOf(player) {
  const { scenes, chart, futures } = player;
  const ratio = scenes[0].ratio;
  const [gap, head] = [12, 28];
  const width = scenes.reduce((sum, scene) => sum + scene.width + gap, gap);
  const height = head + scenes[0].height + chart.height + 3 * gap;
  const canvas = h("canvas", { width: width * ratio, height: height * ratio });
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = chart.colours.ground;
  pen.fillRect(0, 0, width, height);
  pen.font = "600 14px system-ui, sans-serif";
  scenes.forEach((scene, i) => {
    const left = gap + i * (scene.width + gap);
    pen.fillStyle = chart.colours["ab"[i]];
    pen.fillText(`${"AB"[i]}  ${futures[i].title} ${futures[i].note ?? ""}`, left, 22, scene.width);
    pen.drawImage(scene.canvas, left, head + gap / 2, scene.width, scene.height);
  });
  pen.drawImage(
    chart.canvas,
    gap,
    head + scenes[0].height + 2 * gap,
    width - 2 * gap,
    chart.height,
  );
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** The same as a drawing that can be edited. */
export function drawingOf(player) {
  const { scenes, chart, futures, t } = player;
  const [gap, head] = [12, 28];
  const width = scenes.reduce((sum, scene) => sum + scene.width + gap, gap);
  const height = head + scenes[0].height + chart.height + 3 * gap;
  const root = s("svg", {
    xmlns: SVG,
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    "font-family": "system-ui, sans-serif",
    "font-size": 12,
  });
  root.append(s("rect", { width, height, fill: chart.colours.ground }));
  scenes.forEach((scene, i) => {
    const left = gap + i * (scene.width + gap);
    root.append(
      s(
        "text",
        { x: left, y: 20, "font-size": 14, "font-weight": 600, fill: chart.colours["ab"[i]] },
        `${"AB"[i]}  ${futures[i].title} ${futures[i].note ?? ""}`,
      ),
    );
    root.append(drawnScene(scene, t, left, head + gap / 2));
  });
  root.append(drawnChart(chart, t, gap, head + scenes[0].height + 2 * gap, width - 2 * gap));
  return new XMLSerializer().serializeToString(root);
}

function s(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text) element.textContent = text;
  return element;
}

function drawnScene(scene, t, left, top) {
  const { view, geometry, colours, trace } = scene;
  const second = Math.min(Math.floor(t), trace.last);
  const box = s("svg", { x: left, y: top, width: scene.width, height: scene.height });
  const group = s("g", {
    transform: `translate(${number2(scene.width / 2 - view.x * view.scale)} ${number2(scene.height / 2 + view.y * view.scale)}) scale(${number2(view.scale)} ${number2(-view.scale)})`,
    fill: "none",
    "stroke-linejoin": "round",
  });
  box.append(s("rect", { width: scene.width, height: scene.height, fill: colours.ground }), group);
  const path = (points, more) => group.append(s("path", { d: pathOf(points), ...more }));
  for (const junction of geometry.junctions) path(junction.points, { fill: colours.road });
  const widths = {
    road: (lane) => lane.width_m - 0.15,
    foot: (lane) => lane.width_m,
    bicycle: (lane) => lane.width_m,
    rail: () => 0.9,
  };
  for (const lane of geometry.lanes)
    if (widths[lane.kind])
      path(lane.points, { stroke: colours[lane.kind], "stroke-width": widths[lane.kind](lane) });
  if (trace.queues && view.scale < NEAR) {
    for (const [id, vehicles] of loadsAt(trace, second)) {
      const lane = scene.lanes.get(id);
      if (!lane) continue;
      const width = number2(Math.max(lane.width_m, 4 / view.scale));
      const opacity = number2(loadShare(vehicles, lane.points));
      path(lane.points, { stroke: colours.halted, "stroke-width": width, opacity, class: "load" });
    }
  } else
    for (const { lane, begin, reach, vehicles } of queuesOf(scene.queueing(second), trace, second))
      if (vehicles)
        path(partOf(lane.points, begin, reach), {
          stroke: colours.queue,
          "stroke-width": lane.width_m,
        });
  for (const head of scene.heads) {
    const [x0, y0, x1, y1] = head.ends;
    head.links.forEach((link, i) => {
      const at = (share) => [x0 + (x1 - x0) * share, y0 + (y1 - y0) * share];
      path([...at(i / head.links.length), ...at((i + 1) / head.links.length)], {
        stroke: headColour(trace.signals[head.tls_id]?.[second]?.[link], colours),
        "stroke-width": 1.2,
      });
    });
  }
  for (const [place, x, y, angle, speed] of vehiclesAt(trace, t)) {
    const length = trace.lengths_dm[place] / 10;
    group.append(
      s("rect", {
        x: -0.9,
        y: number2(-length),
        width: 1.8,
        height: number2(length),
        rx: 0.5,
        fill: speed < 0.1 ? colours.halted : colours.moving,
        transform: `translate(${number2(x)} ${number2(y)}) rotate(${number2(-angle)})`,
      }),
    );
  }
  return box;
}

function drawnChart(chart, t, left, top, width) {
  const layout = layoutOf(
    chart.series,
    width,
    chart.height,
    chart.begin,
    chart.isTight,
    chart.end,
  );
  const { plot, x, y, xs, ys } = layout;
  const group = s("g", { transform: `translate(${left} ${top})`, fill: chart.colours.text });
  for (const value of ys)
    group.append(
      s("path", {
        d: `M${plot.left} ${number2(y(value))}H${plot.right}`,
        stroke: chart.colours.grid,
      }),
      s(
        "text",
        { x: plot.left - 8, y: number2(y(value) + 4), "text-anchor": "end" },
        String(value),
      ),
    );
  for (const at of xs)
    group.append(
      s("text", { x: number2(x(at)), y: plot.bottom + 18, "text-anchor": "middle" }, String(at)),
    );
  const pieces = chart.isShaded ? differenceOf(chart.series, layout, chart.isMoreBetter) : [];
  for (const { points, side } of pieces)
    group.append(s("path", { d: `${pathOf(points)}Z`, fill: chart.colours[side], opacity: 0.16 }));
  for (const one of chart.series) {
    const points = one.values.flatMap((value, i) =>
      value === null ? [] : [x(i * (one.step ?? 1)), y(value)],
    );
    group.append(
      s("path", {
        d: pathOf(points),
        fill: "none",
        stroke: chart.colourOf(one),
        "stroke-width": 2,
        "stroke-dasharray": one.colour === "b" ? "6 3" : "none",
      }),
    );
  }
  group.append(
    s("path", { d: `M${number2(x(t))} ${plot.top}V${plot.bottom}`, stroke: chart.colours.cursor }),
  );
  return group;
}

function number2(value) {
  return Number(value.toFixed(2));
}

function pathOf(points) {
  let text = "";
  for (let i = 0; i < points.length; i += 2)
    text += `${i ? "L" : "M"}${number2(points[i])} ${number2(points[i + 1])}`;
  return text;
}

/** An episode's map, bands and curves below each other. */
export function drawingOfEpisode(board) {
  const { charts, maps, bands, episodes } = board;
  const [gap, ground] = [12, charts[0].chart.colours];
  const width = charts[0].chart.width + 2 * gap;
  const root = s("svg", { xmlns: SVG, "font-family": "system-ui, sans-serif", "font-size": 12 });
  const back = s("rect", { width, fill: ground.ground });
  root.append(back);
  let top = gap;
  for (const { scene, at } of maps.filter((one) => one.scene)) {
    root.append(drawnScene(scene, at, gap, top));
    top += scene.height + gap;
  }
  bands.forEach((canvas, i) => {
    root.append(drawnBands(canvas, episodes[i], board.last, gap, top, charts[0].chart.width));
    top += canvas.getBoundingClientRect().height + gap;
  });
  for (const { title, chart } of charts) {
    root.append(s("text", { x: gap, y: top + 12, fill: ground.text }, title));
    root.append(drawnChart(chart, board.t, gap, top + 18, chart.width));
    top += chart.height + 18 + gap;
  }
  back.setAttribute("height", top);
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${top}`, width, height: top }))
    root.setAttribute(key, value);
  return new XMLSerializer().serializeToString(root);
}

function drawnBands(canvas, episode, last, left, top, width) {
  const style = getComputedStyle(canvas);
  const group = s("g", { transform: `translate(${left} ${top})`, fill: style.color });
  const one = (width - 56) / Math.max(1, last);
  const row = canvas.getBoundingClientRect().height / Math.max(1, episode.view.signals.length);
  episode.view.signals.forEach((id, i) => {
    group.append(s("text", { x: 0, y: i * row + 12, "font-size": 11 }, id.slice(0, 6)));
    let begin = 0;
    const phases = episode.moments.slice(0, -1).map((moment) => moment.signals[id]?.current_phase);
    phases.forEach((phase, at) => {
      if (phase === phases[at + 1]) return;
      if (phase !== undefined)
        group.append(
          s("rect", {
            x: number2(44 + begin * one),
            y: i * row + 2,
            width: number2((at + 1 - begin) * one),
            height: row - 5,
            fill: style.getPropertyValue(`--phase-${(phase >> 1) % 6}`).trim(),
          }),
        );
      begin = at + 1;
    });
  });
  return group;
}

/** A page of its own: the modules, the styles and the data in one file. */
export async function pageOf(player, title) {
  const kept = ({ title: name, note, trace }) => ({
    title: name,
    note,
    trace: { ...trace, curve: undefined },
  });
  return bundle([], START, {
    title,
    geometry: player.geometry,
    tlsIds: player.tlsIds,
    futures: player.futures.map(kept),
  });
}

/** The modules that draw, some more, what starts them, and the data, in one file. */
export async function bundle(more, start, data) {
  const read = async (name) => (await fetch(name)).text();
  const [style, ...modules] = await Promise.all(["style.css", ...MODULES, ...more].map(read));
  const code = modules
    .map((text) => text.replace(/^import [^;]*;$/gm, "").replace(/^export /gm, ""))
    .join("\n");
  return new Blob([standalone(style, `${code}\n${start}`, JSON.stringify(data))], {
    type: "text/html",
  });
}

const START =
  'const shown = JSON.parse(document.getElementById("data").textContent);\ndocument.title = shown.title;\nconst alone = new Player(shown.geometry, shown.tlsIds);\ndocument.querySelector("main").append(h("h1", {}, shown.title), alone.element);\nalone.show(shown.futures);\n';

function standalone(style, code, data) {
  const policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  const tag = (name, attributes, text) => `<${name}${attributes}>${text}</${name}>`;
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">',
    tag("style", "", style),
    "</head><body><main></main>",
    tag("script", ' type="application/json" id="data"', data.replaceAll("<", "\\u003c")),
    tag("script", ' type="module"', code.replaceAll("</script", "<\\/script")),
    "</body></html>",
  ].join("\n");
}
