// A report that opens without a server: curves, tables and samples, out of the data in the page.

import { Chart } from "./chart.js";
import { append, h } from "./dom.js";
import { number } from "./words.js";

const SIDES_OF_TWO = ["a", "b"];
const MORE = 6;

/** Puts the sections of a report into an element. */
export function showReport(main, report) {
  document.title = report.title;
  append(
    main,
    h("div", { class: "head" }, h("h1", {}, report.title), h("p", { class: "note" }, report.made)),
  );
  report.sections.forEach((section, i) => append(main, sectionOf({ ...section, number: i })));
  const charts = [...main.querySelectorAll("canvas.chart")].map((canvas) => [
    canvas,
    new Chart(canvas),
  ]);
  const draw = () => {
    for (const [canvas, chart] of charts) {
      const box = canvas.getBoundingClientRect();
      if (!box.width) continue;
      chart.recolour();
      chart.fit(box.width, box.height);
      const { series, begin, step } =
        report.sections[canvas.dataset.section].charts[canvas.dataset.chart];
      chart.isTight = true;
      chart.setSeries(
        series.map((one, i) => ({ ...one, step, colour: colourOf(i, canvas) })),
        begin,
        false,
      );
      chart.draw(null);
    }
  };
  new ResizeObserver(draw).observe(main);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function sectionOf(section) {
  return [
    h("h2", { class: "part" }, section.title),
    h("p", { class: "note" }, section.note ?? ""),
    section.figures?.length
      ? h(
          "dl",
          { class: "tiles" },
          section.figures.map(([name, value]) =>
            h("div", {}, h("dt", {}, name), h("dd", {}, value)),
          ),
        )
      : null,
    h(
      "div",
      { class: "columns even" },
      (section.charts ?? []).map((chart, i) =>
        h(
          "section",
          { class: "card" },
          h("h2", {}, chart.title),
          legend(chart),
          chart.note ? h("p", { class: "note" }, chart.note) : null,
          h("canvas", {
            class: "chart small",
            role: "img",
            "aria-label": said(chart),
            "data-section": section.number,
            "data-chart": i,
          }),
        ),
      ),
    ),
    h(
      "div",
      { class: "columns even" },
      (section.intervals ?? []).map((one) =>
        h(
          "section",
          { class: "card" },
          h("h2", {}, one.title),
          one.note ? h("p", { class: "note" }, one.note) : null,
          intervalsOf(one.rows),
        ),
      ),
    ),
    (section.tables ?? []).map((one) =>
      h(
        "section",
        { class: "card apart" },
        one.is_folded
          ? h("details", {}, h("summary", {}, one.title), tableOf(one))
          : [h("h2", {}, one.title), tableOf(one)],
      ),
    ),
    (section.samples ?? []).length
      ? h(
          "section",
          { class: "card apart" },
          h("h2", {}, "Prompts and answers"),
          section.samples.map(sampleOf),
        )
      : null,
  ];
}

function tableOf(one) {
  const kind = (i) => (i >= one.numbers_from ? "number" : null);
  return h(
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
          one.columns.map((name, i) => h("th", { scope: "col", class: kind(i) }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        one.rows.map((row) =>
          h(
            "tr",
            {},
            row.map((cell, i) => h("td", { class: kind(i) }, cell)),
          ),
        ),
      ),
    ),
  );
}

function legend(chart) {
  return chart.series.length < 2
    ? null
    : h(
        "p",
        { class: "note" },
        chart.series.map((one, i) => [
          i ? " · " : null,
          h("span", { class: `swatch ${nameOfColour(i)}` }),
          ` ${one.name}`,
        ]),
      );
}

/** The first two have the colours of futures, the others those of phases. */
function nameOfColour(i) {
  return SIDES_OF_TWO[i] ?? `series-${(i - SIDES_OF_TWO.length) % MORE}`;
}

function colourOf(i, element) {
  const name = nameOfColour(i);
  if (SIDES_OF_TWO.includes(name)) return name;
  return getComputedStyle(element).getPropertyValue(`--${name.replace("series", "phase")}`).trim();
}

/** A row for each value: its name, a dot in its interval, and the numbers. */
function intervalsOf(rows) {
  const least = Math.min(0, ...rows.map((one) => one.low));
  const most = Math.max(...rows.map((one) => one.high), least + 1e-9);
  const place = (value) => 100 * ((value - least) / (most - least));
  return h(
    "table",
    { class: "intervals" },
    h(
      "tbody",
      {},
      rows.map((one) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, one.name),
          h("td", { class: "wide" }, intervalLine(one, place)),
          h(
            "td",
            { class: "number" },
            `${number(one.value, 3)} [${number(one.low, 3)}, ${number(one.high, 3)}]`,
          ),
        ),
      ),
    ),
  );
}

function intervalLine({ value, low, high }, place) {
  const part = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, text] of Object.entries(attributes)) element.setAttribute(key, text);
    return element;
  };
  const [from, to] = [`${place(low)}%`, `${place(high)}%`];
  const drawn = part("svg", { class: "interval", "aria-hidden": "true" });
  drawn.append(
    part("line", { x1: "0%", x2: "100%", y1: 9, y2: 9, class: "scale" }),
    part("line", { x1: from, x2: to, y1: 9, y2: 9, class: "span" }),
    part("circle", { cx: `${place(value)}%`, cy: 9, r: 4 }),
  );
  return drawn;
}

function said(chart) {
  return chart.series
    .map((one) => {
      const values = one.values.filter((value) => value !== null);
      return `${chart.title}, ${one.name}: from ${number(values[0], 3)} to ${number(values.at(-1), 3)}`;
    })
    .join("; ");
}

function sampleOf(sample) {
  return h(
    "details",
    {},
    h("summary", {}, `Step ${sample.step}: ${sample.status}, reward ${number(sample.reward, 3)}`),
    sample.prompt.map((message) =>
      h(
        "div",
        { class: "message" },
        h("span", { class: "role" }, message.role),
        h("pre", {}, message.content),
      ),
    ),
    h("span", { class: "role" }, "answer"),
    h("pre", {}, sample.answer),
  );
}
