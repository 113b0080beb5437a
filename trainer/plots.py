"""Plots of runs and evaluations, one function each."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.curriculum.buckets import LEVELS
from trainer.runs.history import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainer.evaluation.bootstrap import Estimate
    from trainer.evaluation.figures import Figures
    from trainer.evaluation.report import Evaluation

__all__ = ["plot_evaluation", "plot_loss", "plot_offline", "plot_rewards", "smoothed"]

_BLUE, _ORANGE, _RED, _GREEN = "#1b6ca8", "#d9822b", "#c23b22", "#5a9367"
_PURPLE, _GREY, _BLACK = "#7b4b94", "#8a8a8a", "#222222"
_COLOURS = (_GREEN, _ORANGE, _RED, _BLUE, _PURPLE, _GREY, _BLACK)

_Curves = Mapping[str, tuple[str, str]]
"""The label and the colour of each metric, by its name."""
_Lines = Sequence[Mapping[str, Any]]

_REWARDS = {"reward": ("total", _BLACK), "rewards/traffic/mean": ("traffic", _BLUE)}
_OUTCOMES = {
    "outcomes/invalid": ("invalid", _RED),
    "outcomes/cached": ("cached", _GREEN),
    "outcomes/failed": ("failed", _PURPLE),
    "outcomes/zero_variance_groups": ("groups without variance", _GREY),
    "outcomes/yes": ("answers yes", _BLUE),
}
_PARTS = {
    "outcomes/regret_veh": "regret, vehicles",
    "reward_by_level/": "reward by difficulty",
    "reward_by_domain/": "reward by domain",
}
"""Optional metrics: rows with outcomes, and runs with a curriculum."""

_LOSS = {"loss": "loss, nats per token", "mean_token_accuracy": "tokens right"}

_STAGES: tuple[tuple[str, _Curves], ...] = (
    ("policy loss", {"policy_loss": ("training", _BLUE), "eval_policy_loss": ("valid.", _ORANGE)}),
    ("KL to stage 2's start", {"kl": ("training", _BLUE), "eval_kl": ("valid.", _ORANGE)}),
    ("ratio, weight of KL", {"ratio": ("mean ratio", _GREEN), "kl_coeff": ("kl_coeff", _RED)}),
    ("valid. regret", {"eval_regret": ("regret", _RED)}),
    ("valid. agreement", {"eval_agreement": ("agreement", _GREEN)}),
)

_ESTIMATES: "tuple[tuple[str, str, Callable[[Figures], Estimate | None]], ...]" = (
    ("regret (vehicles)", _BLUE, lambda one: one.regret_veh_invalid_worst),
    ("agreement with the best", _GREEN, lambda one: one.agreement_clear),
    ("share of yes", _ORANGE, lambda one: one.yes),
)
_MAX_NAME_CHARS = 40


def plot_rewards(metrics: Path, target: Path) -> None:
    """Plots the rewards, outcomes and KL of a GRPO run as a PNG.

    Args:
        metrics: As written by :class:`trainer.runs.history.MetricsFile`; without lines, the plot
            is empty.
        target: The PNG.
    """
    lines = read_metrics(metrics)
    parts = {prefix: names for prefix in _PARTS if (names := _names(lines, prefix))}
    heights = [3, 1.2, 2, *(2 for _ in parts), 1.2]
    figure = _figure(9, 9 + 2 * len(parts))
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    rewards, form, outcomes, *divided, drift = panels
    _draw_smoothed(rewards, lines, _REWARDS)
    _draw_smoothed(form, lines, {"rewards/format/mean": ("format", _ORANGE)})
    _draw_smoothed(outcomes, lines, _OUTCOMES)
    for axes, (prefix, names) in zip(divided, parts.items(), strict=True):
        axes.set_ylabel(_PARTS[prefix])
        labels = [name.removeprefix(prefix) or "regret" for name in names]
        curves = zip(names, zip(labels, cycle(_COLOURS), strict=False), strict=True)
        _draw_smoothed(axes, lines, dict(curves))
    _draw_smoothed(drift, lines, {"kl": ("KL", _BLACK)})
    if not drift.lines:
        drift.set_yticks([])
        drift.text(0.5, 0.5, "not measured (kl_coeff: 0)", ha="center", transform=drift.transAxes)
    rewards.set_title("GRPO training", loc="left", fontweight="bold")
    fixed = {rewards: "mean reward", form: "form", outcomes: "share", drift: "KL to the start"}
    for axes, label in fixed.items():
        axes.set_ylabel(label)
    form.set_ylim(-1.1, 1.1)
    _shares(outcomes.yaxis)
    outcomes.set_ylim(-0.03, 1.03)
    drift.set_xlabel("step")
    for axes in panels:
        _finish(axes, has_whole_steps=True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _save(figure, target)


def plot_loss(metrics: Path, target: Path) -> None:
    """Plots the loss and the token accuracy of a supervised run as a PNG.

    Args:
        metrics: As for :func:`plot_rewards`.
        target: The PNG.
    """
    lines = read_metrics(metrics)
    figure = _figure(8, 5.5)
    panels = figure.subplots(len(_LOSS), 1, sharex=True)
    for axes, (name, label) in zip(panels, _LOSS.items(), strict=True):
        if (points := _points(lines, name)) is not None:
            axes.plot(*points, color=_BLUE, linewidth=2)
        axes.set_ylabel(label)
        _finish(axes, has_whole_steps=True)
    panels[0].set_yscale("log")  # the first value dwarfs all others
    panels[1].set_ylim(0, 1.03)
    panels[0].set_title("Supervised training", loc="left", fontweight="bold")
    panels[-1].set_xlabel("step")
    _save(figure, target)


def plot_offline(metrics: Path, advantages: Sequence[Sequence[float]], target: Path) -> None:
    """Plots losses, drift and choices of an offline run, and its advantages, as a PNG.

    Args:
        metrics: As for :func:`plot_rewards`, with the stage in each line.
        advantages: Of the training candidates, by query.
        target: The PNG.
    """
    lines = read_metrics(metrics)
    second = [line["step"] for line in lines if line["stage"] == 2]
    figure = _figure(11, 8)
    *panels, spread = figure.subplots(3, 2).flat
    for axes, (label, curves) in zip(panels, _STAGES, strict=True):
        for name, (said, colour) in curves.items():
            if (points := _points(lines, name)) is not None:
                axes.plot(*points, color=colour, marker=".", linewidth=1.5, label=said)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        if second and len(second) < len(lines):
            axes.axvline(min(second), color="#bbbbbb", linewidth=1, zorder=0)
        axes.set_ylabel(label)
        axes.set_xlabel("step")
        axes.set_xlim(0, 1.02 * max((line["step"] for line in lines), default=1))
    spread.hist([a for group in advantages for a in group], bins=40, color=_BLUE)
    spread.set_xlabel("advantage, standard deviations")
    spread.set_ylabel("candidates")
    figure.suptitle("Offline post-training", x=0.01, ha="left", fontweight="bold")
    for axes in (*panels, spread):
        _finish(axes)
    _save(figure, target)


def plot_evaluation(evaluation: "Evaluation", target: Path) -> None:
    """Plots policies side by side, with intervals, as a PNG; null values are left blank.

    Invalid answers count as the worst decision; agreement is over clear points.

    Args:
        evaluation: At least one policy.
        target: The PNG.
    """
    names = [one.policy[-_MAX_NAME_CHARS:] for one in evaluation.policies]
    figure = _figure(11, 1.6 + 0.42 * len(names))
    panels = figure.subplots(1, len(_ESTIMATES), sharey=True)
    for axes, (title, colour, read) in zip(panels, _ESTIMATES, strict=True):
        _draw_estimates(axes, [read(one.overall) for one in evaluation.policies], colour)
        axes.set_title(title, loc="left", fontsize=10)
        _finish(axes, grid="x")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    for axes in panels[1:]:
        axes.set_xlim(-0.03, 1.03)
        _shares(axes.xaxis)
    figure.suptitle(
        f"{evaluation.points} decision points of {evaluation.runs} run(s), "
        f"{evaluation.horizon_s} s; lines: {evaluation.level:.0%} intervals",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )
    _save(figure, target)


def smoothed(values: Sequence[float], weight: float = 0.7) -> list[float]:
    """Bias-corrected exponential moving average.

    Args:
        values: In order.
        weight: Of the past, from 0 (none) up to but not including 1.

    >>> [round(v, 3) for v in smoothed([1.0, 1.0, 4.0], weight=0.5)]
    [1.0, 1.0, 2.714]
    """
    from pandas import Series

    means: list[float] = Series(values, dtype=float).ewm(alpha=1 - weight).mean().tolist()
    return means


def _names(lines: _Lines, prefix: str) -> list[str]:
    """The metrics with a prefix: levels from easy to hard, everything else by name."""
    found = {name for line in lines for name in line if name.startswith(prefix)}
    levels = [name for level in LEVELS if (name := f"{prefix}{level}") in found]
    return levels + sorted(found.difference(levels))


def _points(lines: _Lines, name: str) -> tuple[list[int], list[float]] | None:
    """The steps and values of a metric; None if it was never measured."""
    found = [line for line in lines if name in line]
    return ([one["step"] for one in found], [one[name] for one in found]) if found else None


def _draw_smoothed(axes: "Axes", lines: _Lines, curves: _Curves) -> None:
    """Draws metrics: the measured values faintly, the smoothed curve boldly."""
    for name, (label, colour) in curves.items():
        if (points := _points(lines, name)) is not None:
            steps, values = points
            axes.plot(*points, color=colour, alpha=0.3, linewidth=1, marker=".", markersize=4)
            axes.plot(steps, smoothed(values), color=colour, linewidth=2, label=label)


def _draw_estimates(axes: "Axes", estimates: "list[Estimate | None]", colour: str) -> None:
    """Draws a point per policy, with a line for its interval."""
    for row, estimate in enumerate(estimates):
        if estimate is None:
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2)
        axes.plot([estimate.value], [row], marker="o", color=colour, markersize=6)


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(axes: "Axes", has_whole_steps: bool = False, grid: str = "both") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(alpha=0.25, axis=grid)  # type: ignore[arg-type]  # one of its words
    axes.spines[["top", "right"]].set_visible(False)
    if has_whole_steps:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _shares(axis: Any) -> None:  # noqa: ANN401 - either of two
    axis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _save(figure: "Figure", target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130, format="png")
