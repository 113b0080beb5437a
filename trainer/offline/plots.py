"""The picture of an offline run: losses, drift, choices, and the spread of advantages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.runs.history import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_offline"]

_BLUE, _ORANGE, _RED, _GREEN = "#1b6ca8", "#d9822b", "#c23b22", "#5a9367"
_PANELS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    ("policy loss", {"policy_loss": ("training", _BLUE), "eval_policy_loss": ("valid.", _ORANGE)}),
    ("KL to stage 2's start", {"kl": ("training", _BLUE), "eval_kl": ("valid.", _ORANGE)}),
    ("ratio, weight of KL", {"ratio": ("mean ratio", _GREEN), "kl_coeff": ("kl_coeff", _RED)}),
    ("valid. regret", {"eval_regret": ("regret", _RED)}),
    ("valid. agreement", {"eval_agreement": ("agreement", _GREEN)}),
)


def plot_offline(metrics: Path, advantages: Sequence[Sequence[float]], target: Path) -> None:
    """Draws a run as PNG.

    Args:
        metrics: As :class:`trainer.offline.stage_file.StageFile` writes it.
        advantages: Of the training candidates, by query.
        target: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_metrics(metrics)
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    *panels, spread = figure.subplots(3, 2).flat
    for axes, (label, names) in zip(panels, _PANELS, strict=True):
        _draw(axes, lines, names)
        axes.set_ylabel(label)
        axes.set_xlabel("step")
    spread.hist([a for group in advantages for a in group], bins=40, color=_BLUE)
    spread.set_xlabel("advantage, standard deviations")
    spread.set_ylabel("candidates")
    for axes in panels:
        axes.set_xlim(0, 1.02 * max((line["step"] for line in lines), default=1))
    figure.suptitle("Offline post-training", x=0.01, ha="left", fontweight="bold")
    for axes in (*panels, spread):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)


def _draw(
    axes: "Axes", lines: Sequence[Mapping[str, Any]], names: Mapping[str, tuple[str, str]]
) -> None:
    """Metrics over the steps, and a line where stage 2 begins."""
    for name, (label, colour) in names.items():
        points = [(line["step"], line[name]) for line in lines if name in line]
        if points:
            axes.plot(
                *zip(*points, strict=True), color=colour, marker=".", linewidth=1.5, label=label
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    second = [line["step"] for line in lines if line["stage"] == 2]
    if second and len(second) < len(lines):
        axes.axvline(min(second), color="#bbbbbb", linewidth=1, zorder=0)
