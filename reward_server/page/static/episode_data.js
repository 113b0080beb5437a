// What there is to know of episodes: words, addresses, and numbers out of their records.

/** The sides of a comparison, as styles know them. */
export const SIDES = ["a", "b"];

/** The hash of an episode's view. */
export function episodeHash(id, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/episode/${encodeURIComponent(id)}${text ? `?${text}` : ""}`;
}

/** How an episode is steered, in a few words. */
export function controlWords({ control }) {
  const transition =
    control.transition?.kind === "yellow" ? `, ${control.transition.yellow_s} s of yellow` : "";
  return `${control.kind} every ${control.interval_s} s${transition}`;
}

/** Departures and arrivals out of the table of trips; ids with commas and quotes are passed over. */
export function readTrips(text) {
  const [head, ...lines] = text.trim().split(/\r?\n/);
  const names = head.split(",");
  const back = (name) => names.length - names.indexOf(name);
  const value = (cells, name) =>
    cells.at(-back(name)) === "" ? null : Number(cells.at(-back(name)));
  return lines
    .map((line) => line.split(","))
    .filter((cells) => cells.length >= names.length)
    .map((cells) => ({ depart: value(cells, "depart_s"), arrival: value(cells, "arrival_s") }));
}

/** What the signals show at each step, as a trace without vehicles. */
export function lightsOf(episode, definitions) {
  const { moments, view } = episode;
  const shown = view.signals.map((id) => {
    const phases = Object.values(definitions[id]?.programs ?? {})[0]?.phases ?? [];
    return [id, moments.map((moment) => phases[moment.signals[id]?.current_phase]?.state ?? "")];
  });
  return {
    time_s: view.begin_s,
    vehicles: [],
    lengths_dm: [],
    frames: moments.map(() => []),
    signals: Object.fromEntries(shown),
    queue_veh: [],
  };
}

/** Vehicles on the way, minute by minute, and those that arrived in each minute. */
export function flowsOf(trips, beginS, endS) {
  const minutes = Math.max(1, Math.floor((endS - beginS) / 60));
  const running = Array(minutes + 1).fill(0);
  const arrived = Array(minutes + 1).fill(0);
  for (const { depart, arrival } of trips) {
    if (depart === null) continue;
    for (
      let minute = Math.max(0, Math.ceil((depart - beginS) / 60));
      minute <= minutes && (arrival === null || beginS + minute * 60 < arrival);
      minute += 1
    )
      running[minute] += 1;
    const minute = arrival === null ? minutes + 1 : Math.max(0, Math.ceil((arrival - beginS) / 60));
    if (minute <= minutes) arrived[minute] += 1;
  }
  return { running, arrived };
}
