// Candidates at a step of an episode, and what their results say of the decisions that were made.

/** What is tried at a step: each legal decision of each signal, beside what the others did. */
export function candidatesOf(episode, step) {
  const moment = episode.moments[step];
  const done = episode.steps[step];
  const isOver = episode.view.status === "finished" && !done;
  if (!moment || isOver) return { items: [], places: [] };
  const taken = done ? carriedOut(done) : { decisions: {}, completions: {} };
  const places = episode.view.signals.flatMap((id) =>
    (moment.signals[id]?.legal ?? []).map((decision) => [id, decision]),
  );
  const items = places.map(([id, decision], i) => {
    const completions = { ...taken.completions };
    delete completions[id];
    return { id: i, decisions: { ...taken.decisions, [id]: decision }, completions };
  });
  if (done && items.length) items.push({ id: "taken", ...taken });
  return { items, places };
}

/** The decisions of a step that were carried out; where there was none, the signal went on. */
function carriedOut({ request, answer }) {
  const valid = (given) =>
    Object.fromEntries(Object.entries(given).filter(([id]) => !(id in answer.invalid)));
  return { decisions: valid(request.decisions), completions: valid(request.completions) };
}

/** By signal: its candidates, the best first, their regrets, and that of what was done. */
export function aheadOf({ items, places }, results, reward) {
  const taken = items.length > places.length ? results.at(-1).reward : null;
  const signals = Object.create(null);
  places.forEach(([id, decision], i) => {
    signals[id] ??= { candidates: [] };
    const { reward: value, error } = results[i];
    signals[id].candidates.push({ decision, reward: value, error: error ?? null });
  });
  const place = ({ reward: value }) => value ?? -Infinity;
  const regret = (best, value) => (best === null || value === null ? null : best - value);
  for (const one of Object.values(signals)) {
    one.candidates.sort((a, b) => place(b) - place(a));
    const best = one.candidates[0].reward;
    for (const each of one.candidates) each.regret = regret(best, each.reward);
    one.regret = regret(best, taken);
  }
  return { signals, reward, taken };
}
