// Numbers and decisions as people read them.

/** A number with so many decimals, a true minus, and a dash where there is none. */
export function number(value, decimals = 1) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(decimals);
  return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
}

/** Seconds of a day as a clock shows them. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** How long something has lasted. */
export function span(seconds) {
  if (seconds < 90) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${number(seconds / 60, 0)} min`;
  return seconds < 172800 ? `${number(seconds / 3600, 1)} h` : `${number(seconds / 86400, 1)} d`;
}

/** A decision in a few words. */
export function decisionWords(decision) {
  if (!decision) return "left alone";
  if (decision.kind === "extend") {
    if (!decision.extend) return "End the green";
    return decision.extend_s ? `Extend by ${decision.extend_s} s` : "Extend the green";
  }
  if (decision.kind === "phase") {
    const length =
      decision.green_s === null || decision.green_s === undefined
        ? ""
        : ` for ${decision.green_s} s`;
    return `Phase ${decision.next_phase}${length}`;
  }
  if (decision.kind === "cycle") {
    return decision.greens.map((green) => `${green.phase}: ${green.green_s} s`).join(" · ");
  }
  return decision.steps.map((step) => (step.extend ? "yes" : "no")).join(", ");
}
