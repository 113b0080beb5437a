// A report that opens without a server: curves, tables and samples, out of the data in the page.

import { Chart } from "./chart.js";
import { append, h } from "./dom.js";
import { number } from "./words.js";

const COLOURS = ["a", "b"];

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
        series.map((one, i) => ({ values: one.values, step, colour: COLOURS[i] })),
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
          h("span", { class: `letter ${COLOURS[i]}` }, one.name),
        ]),
      );
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
