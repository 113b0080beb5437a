"""The picture of the trainings: regret, reward and share of yes over the steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.learning.trainings import CONTROL
from trainer.plots import smoothed
from trainer.runs.history import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_curves"]

_PANELS = (
    ("outcomes/regret_veh", "regret, vehicles"),
    ("rewards/traffic/mean", "traffic reward"),
    ("outcomes/yes", "share of yes"),
    ("outcomes/zero_variance_groups", "groups without variance"),
)
_COLOURS = ("#1b6ca8", "#5a9367", "#d9822b", "#7b4b94")
_CONTROL_COLOUR = "#9a9a9a"


def plot_curves(
    runs: Mapping[str, Path], target: Path, drawn: Sequence[tuple[str, str]] = _PANELS
) -> None:
    """Draws what was measured of each step's sampled answers: faintly, and boldly its smoothing.

    Args:
        runs: The output folders of GRPO runs, by name; the control is grey.
        target: The PNG.
        drawn: Four metrics and the titles of their panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex=True).flat
    for axes, (metric, title) in zip(panels, drawn, strict=True):
        for (name, folder), colour in zip(runs.items(), _colours(runs), strict=True):
            _draw(axes, folder, metric, name, colour)
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in figure.axes[2:]:
        axes.set_xlabel("step")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(runs), frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130, format="png")


def _colours(runs: Mapping[str, Path]) -> list[str]:
    learning = [name for name in runs if name != CONTROL]
    return [
        _CONTROL_COLOUR if name == CONTROL else _COLOURS[learning.index(name) % len(_COLOURS)]
        for name in runs
    ]


def _draw(axes: "Axes", folder: Path, metric: str, name: str, colour: str) -> None:
    lines = read_metrics(folder / "metrics.jsonl")
    points = [(line["step"], line[metric]) for line in lines if metric in line]
    if not points:
        return
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(steps, smoothed(values, weight=0.85), color=colour, linewidth=2, label=name)
