"""The picture of an evaluation: policies beside each other, with intervals."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.evaluation.bootstrap import Estimate
from trainer.evaluation.figures import Figures
from trainer.evaluation.report import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_evaluation"]

_PANELS: tuple[tuple[str, str, Callable[[Figures], Estimate | None]], ...] = (
    ("regret (vehicles)", "#1b6ca8", lambda one: one.regret_veh_invalid_worst),
    ("agreement with the best", "#5a9367", lambda one: one.agreement_clear),
    ("share of yes", "#d9822b", lambda one: one.yes),
)
_MAX_NAME_CHARS = 40


def plot_evaluation(evaluation: Evaluation, target: Path) -> None:
    """Draws the policies as PNG, in their order; what is null is left empty.

    Invalid answers count as the worst decision; the agreement is that of clear points.

    Args:
        evaluation: At least one policy.
        target: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [one.policy[-_MAX_NAME_CHARS:] for one in evaluation.policies]
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (title, colour, read) in zip(panels, _PANELS, strict=True):
        _draw(axes, [read(one.overall) for one in evaluation.policies], colour)
        axes.set_title(title, loc="left", fontsize=10)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    for axes in panels[1:]:
        axes.set_xlim(-0.03, 1.03)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.suptitle(
        f"{evaluation.points} decision points of {evaluation.runs} run(s), "
        f"{evaluation.horizon_s} s; lines: {evaluation.level:.0%} intervals",
        x=0.01,
        ha="left",
        fontsize=11,
        fontweight="bold",
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130, format="png")


def _draw(axes: "Axes", estimates: list[Estimate | None], colour: str) -> None:
    """A point a policy, with a line where its interval is."""
    for row, estimate in enumerate(estimates):
        if estimate is None:
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2)
        axes.plot([estimate.value], [row], marker="o", color=colour, markersize=6)
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
