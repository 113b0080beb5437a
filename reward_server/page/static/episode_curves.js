// The curves of an episode over its whole length, each with that of another one.

import { flowsOf } from "./episode_data.js";

/** Titles and series; a series has a value for each step, or for each minute. */
export function curvesOf(episodes) {
  const [first] = episodes;
  const interval = first.view.control.interval_s;
  const bySteps = (values) => ({ step: interval, series: episodes.map(values) });
  const found = [
    {
      title: `Reward of each step: ${first.view.reward.name}`,
      isTight: true,
      isMoreBetter: true,
      ...bySteps((one) => [null, ...one.steps.map((step) => step.answer.reward)]),
    },
  ];
  const queues = bySteps((one) => [null, ...one.steps.map((step) => step.answer.queue_veh ?? null)]);
  if (queues.series.some((values) => values.some((value) => value !== null)))
    found.push({ title: "Queue: vehicles standing before signals, mean of each step", ...queues });
  if (episodes.every((one) => one.trips)) {
    const flows = episodes.map((one) => flowsOf(one.trips, one.view.begin_s, one.view.end_s));
    const byMinutes = (name) => ({ step: 60, series: flows.map((flow) => flow[name]) });
    found.push({ title: "Vehicles on the way, at each minute", ...byMinutes("running") });
    found.push({
      title: "Throughput: arrivals in each minute",
      isMoreBetter: true,
      ...byMinutes("arrived"),
    });
  }
  return found;
}
