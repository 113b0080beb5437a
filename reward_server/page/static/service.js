// What the service is doing, live.

import { Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { Chart } from "./chart.js";
import { number, span } from "./words.js";

const KEPT_S = 120;

/** Shows the figures until the view is left; what breaks off is begun again. */
export async function showService(view) {
  const { api, main, signal } = view;
  document.title = "Service · Greenfork";
  const board = new Board(main);
  view.closing.push(() => board.close());
  board.show(await api.get(["v1", "service"], {}, signal));
  for (let pause = 1000; !signal.aborted; pause = Math.min(15000, pause * 2)) {
    try {
      for await (const seen of api.events(["v1", "service", "events"], signal)) {
        board.show(seen);
        pause = 500;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status < 500) throw error;
      board.lost();
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** A figure's value by name and labels: 0 where it has not been counted yet. */
export function figure(view, name, labels = {}) {
  return view.figures
    .filter(
      (one) =>
        one.name === `greenfork_${name}` &&
        Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )
    .reduce((sum, one) => sum + one.value, 0);
}

class Board {
  constructor(main) {
    this.seen = [];
    this.state = h("p", { class: "note", role: "status" });
    this.tiles = h("dl", { class: "tiles" });
    const canvas = (label) =>
      h("canvas", { class: "chart small", role: "img", "aria-label": label });
    this.canvases = [canvas("Rollouts a second"), canvas("Rollouts waiting")];
    this.itemsBox = h("section", { class: "card" });
    this.flowsBox = h("section", { class: "card" });
    this.jobsBox = h("section", { class: "card" });
    fill(
      main,
      h("div", { class: "head" }, h("h1", {}, "Service"), this.state),
      this.tiles,
      h(
        "div",
        { class: "columns even" },
        h(
          "section",
          { class: "card" },
          h("h2", {}, "Rollouts a second, the last two minutes"),
          this.canvases[0],
        ),
        h(
          "section",
          { class: "card" },
          h("h2", {}, "Rollouts waiting, the last two minutes"),
          this.canvases[1],
        ),
      ),
      h("div", { class: "columns even" }, this.itemsBox, this.flowsBox),
      this.jobsBox,
    );
    this.charts = this.canvases.map((one) => new Chart(one));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(main);
  }

  close() {
    this.observer.disconnect();
  }

  lost() {
    fill(this.state, "The connection broke off; trying again…");
  }

  show(view) {
    const last = this.seen.at(-1);
    if (last && view.uptime_s < last.uptime_s) this.seen = [];
    this.seen.push(view);
    this.seen = this.seen.slice(-KEPT_S - 1);
    const of = (name, labels) => figure(view, name, labels);
    const answered = of("items_total");
    const cached = of("hot_hits_total") + of("ledger_hits_total");
    const asked = cached + of("rollouts_total");
    const values = [
      ["workers", "Workers busy", `${of("pool_busy")} of ${of("pool_workers")}`],
      ["queued", "Waiting", number(of("pool_queued"), 0)],
      ["oldest", "Oldest waits", span(of("pool_oldest_seconds"))],
      ["rate", "Rollouts a second", number(this.rates().at(-1) ?? null, 1)],
      ["items", "Items answered", number(answered, 0)],
      ["cached", "Known before", asked ? `${number((100 * cached) / asked, 1)} %` : "–"],
      ["lost", "Workers lost", number(of("workers_lost_total"), 0)],
      ["uptime", "Up for", span(view.uptime_s)],
    ];
    fill(
      this.tiles,
      values.map(([key, name, value]) =>
        h("div", { "data-figure": key }, h("dt", {}, name), h("dd", {}, value)),
      ),
    );
    fill(
      this.state,
      `${view.viewer.name}, with the scope ${view.viewer.scopes.join(", ")}; live, last at ${new Date(view.at_s * 1000).toLocaleTimeString()}`,
    );
    this.showItems(view);
    this.showFlows(view);
    this.showJobs(view);
    this.draw();
  }

  /** Rollouts done between each two glances, a second. */
  rates() {
    return this.seen.slice(1).map((view, i) => {
      const before = this.seen[i];
      const done = figure(view, "rollouts_made_total") - figure(before, "rollouts_made_total");
      return Math.max(0, done / Math.max(0.2, view.at_s - before.at_s));
    });
  }

  draw() {
    const shown = [this.rates(), this.seen.map((view) => figure(view, "pool_queued"))];
    this.charts.forEach((chart, i) => {
      const box = chart.canvas.getBoundingClientRect();
      if (!box.width) return;
      if (box.width !== chart.width || box.height !== chart.height)
        chart.fit(box.width, box.height);
      chart.recolour();
      const values = [
        ...Array(Math.max(0, KEPT_S + 1 - shown[i].length)).fill(null),
        ...shown[i].slice(-KEPT_S - 1),
      ];
      chart.setSeries([{ values, colour: "a" }], -KEPT_S);
      chart.draw(null);
    });
  }

  showItems(view) {
    const items = view.figures
      .filter((one) => one.name === "greenfork_items_total")
      .sort((a, b) => b.value - a.value);
    const refused = view.figures.filter(
      (one) => one.name === "greenfork_requests_refused_total" && one.value,
    );
    const rows = [
      ...items.map((one) => [one.labels.status, one.labels.code, one.value]),
      ...refused.map((one) => ["request refused", one.labels.code, one.value]),
    ];
    fill(
      this.itemsBox,
      h("h2", {}, "Items by status and code"),
      table(
        ["Status", "Code", "Items"],
        rows.map(([status, code, value]) => [status, code, number(value, 0)]),
        2,
      ),
    );
  }

  showFlows(view) {
    const all = view.flows.reduce((sum, flow) => sum + flow.done, 0) || 1;
    const rows = view.flows.map((flow) => [
      flow.name || "–",
      number(flow.weight, 2),
      number(flow.queued, 0),
      number(flow.running, 0),
      number(flow.done, 0),
      `${number((100 * flow.done) / all, 0)} %`,
    ]);
    fill(
      this.flowsBox,
      h("h2", {}, "Shares of the workers"),
      table(["Key", "Weight", "Waiting", "Running", "Done", "Share"], rows, 1),
    );
  }

  showJobs(view) {
    const heading = h("h2", {}, "Your jobs");
    if (view.jobs === null)
      fill(this.jobsBox, heading, h("p", { class: "note" }, "The jobs cannot be read just now."));
    else
      fill(
        this.jobsBox,
        heading,
        view.jobs.length
          ? h(
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
                    ["Job", "Status", "Progress", "Done", "Left"].map((name) =>
                      h("th", { scope: "col" }, name),
                    ),
                  ),
                ),
                h(
                  "tbody",
                  {},
                  view.jobs.map((job) =>
                    h(
                      "tr",
                      {},
                      h("td", {}, job.id.slice(0, 12)),
                      h("td", {}, job.status, job.error ? `: ${job.error.message}` : ""),
                      h(
                        "td",
                        {},
                        h("progress", {
                          max: job.items,
                          value: job.done,
                          "aria-label": `job ${job.id.slice(0, 12)}`,
                        }),
                      ),
                      h("td", { class: "number" }, `${job.done} of ${job.items}`),
                      h("td", { class: "number" }, job.eta_s === null ? "–" : span(job.eta_s)),
                    ),
                  ),
                ),
              ),
            )
          : h("p", { class: "note" }, "None."),
      );
  }
}

function table(names, rows, numbersFrom) {
  if (!rows.length) return h("p", { class: "note" }, "Nothing yet.");
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
          names.map((name, i) =>
            h("th", { scope: "col", class: i >= numbersFrom ? "number" : null }, name),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((cell, i) => h("td", { class: i >= numbersFrom ? "number" : null }, cell)),
          ),
        ),
      ),
    ),
  );
}
