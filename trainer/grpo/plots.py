"""The picture of a run: rewards, outcomes, and how far the model went from where it started."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.curriculum.buckets import LEVELS
from trainer.runs.history import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_rewards", "smoothed"]

_REWARDS = {
    "reward": ("total", "#222222"),
    "rewards/traffic/mean": ("traffic", "#1b6ca8"),
}
_OUTCOMES = {
    "outcomes/invalid": ("invalid", "#c23b22"),
    "outcomes/cached": ("cached", "#5a9367"),
    "outcomes/failed": ("failed", "#7b4b94"),
    "outcomes/zero_variance_groups": ("groups without variance", "#8a8a8a"),
    "outcomes/yes": ("answers yes", "#1b6ca8"),
}
_COLOURS = ("#5a9367", "#d9822b", "#c23b22", "#1b6ca8", "#7b4b94", "#8a8a8a", "#222222")
_PARTS = {
    "outcomes/regret_veh": "regret, vehicles",
    "reward_by_level/": "reward by difficulty",
    "reward_by_domain/": "reward by domain",
}
"""What not every run measures: where rows carry outcomes, and of a run with a curriculum."""


def plot_rewards(metrics: Path, target: Path) -> None:
    """Draws a metrics file as PNG; a file without lines gives an empty picture.

    Args:
        metrics: As :class:`trainer.runs.history.MetricsFile` writes it.
        target: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_metrics(metrics)
    parts = {prefix: names for prefix in _PARTS if (names := _names(lines, prefix))}
    heights = [3, 1.2, 2, *(2 for _ in parts), 1.2]
    figure = Figure(figsize=(9, 9 + 2 * len(parts)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    rewards, form, outcomes, *divided, drift = panels
    for name, (label, colour) in _REWARDS.items():
        _draw(rewards, lines, name, label, colour)
    _draw(form, lines, "rewards/format/mean", "format", "#d9822b")
    for name, (label, colour) in _OUTCOMES.items():
        _draw(outcomes, lines, name, label, colour)
    for axes, (prefix, names) in zip(divided, parts.items(), strict=True):
        axes.set_ylabel(_PARTS[prefix])
        for name, colour in zip(names, cycle(_COLOURS), strict=False):
            _draw(axes, lines, name, name.removeprefix(prefix) or "regret", colour)
    _draw(drift, lines, "kl", "KL", "#222222")
    if not drift.lines:
        drift.set_yticks([])
        drift.text(0.5, 0.5, "not measured (kl_coeff: 0)", ha="center", transform=drift.transAxes)
    rewards.set_title("GRPO training", loc="left", fontweight="bold")
    rewards.set_ylabel("mean reward")
    form.set_ylabel("form")
    form.set_ylim(-1.1, 1.1)
    outcomes.set_ylabel("share")
    outcomes.set_ylim(-0.03, 1.03)
    outcomes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    drift.set_ylabel("KL to the start")
    drift.set_xlabel("step")
    for axes in panels:
        _finish(axes)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)


def smoothed(values: Sequence[float], weight: float = 0.7) -> list[float]:
    """Exponential moving average without the pull of a first value (bias-corrected).

    Args:
        values: In order.
        weight: Of the past, from 0 (none) up to but not including 1.

    >>> [round(v, 3) for v in smoothed([1.0, 1.0, 4.0], weight=0.5)]
    [1.0, 1.0, 2.714]
    """
    smooth: list[float] = []
    total = norm = 0.0
    for value in values:
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        smooth.append(total / norm)
    return smooth


def _names(lines: Sequence[Mapping[str, Any]], prefix: str) -> list[str]:
    """The metrics under a prefix; levels from easy to hard, all else by name."""
    found = {name for line in lines for name in line if name.startswith(prefix)}
    levels = [name for level in LEVELS if (name := f"{prefix}{level}") in found]
    return levels + sorted(found.difference(levels))


def _draw(
    axes: "Axes", lines: Sequence[Mapping[str, Any]], name: str, label: str, colour: str
) -> None:
    """One metric: what was measured faintly, its smoothing boldly."""
    points = [(line["step"], line[name]) for line in lines if name in line]
    if not points:
        return
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color=colour, alpha=0.3, linewidth=1, marker=".", markersize=4)
    axes.plot(steps, smoothed(values), color=colour, linewidth=2, label=label)


def _finish(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
