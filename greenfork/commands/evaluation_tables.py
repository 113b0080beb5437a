"""An evaluation as tables for people."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from greenfork.screen import screen

if TYPE_CHECKING:
    from trainer.evaluation import Evaluation
    from trainer.evaluation.bootstrap import Estimate
    from trainer.evaluation.figures import Figures

__all__ = ["print_evaluation"]

_MAX_FAILURES = 5

Cell = tuple[str, "Callable[[Figures], str]"]
"""The head of a column, and what stands in it."""


def print_evaluation(evaluation: "Evaluation", groups: "Sequence[str]") -> None:
    """Prints how policies did, overall and by group, and what could not be judged.

    Args:
        evaluation: The figures.
        groups: By what to show groups of points, too: domain, difficulty.
    """
    console = screen(markup=True)
    overall = [(one.policy, "", one.overall) for one in evaluation.policies]
    _print_table(console, evaluation, overall, None)
    if evaluation.against is not None:
        _print_comparisons(console, evaluation, evaluation.against)
    for group in groups:
        rows = [
            (one.policy, label, figures)
            for one in evaluation.policies
            for label, figures in (
                one.by_domain if group == "domain" else one.by_difficulty
            ).items()
        ]
        _print_table(console, evaluation, rows, group)
    for line in _remarks(evaluation):
        console.print(line, highlight=False, markup=False)


def _print_table(
    console: Console,
    evaluation: "Evaluation",
    rows: "Sequence[tuple[str, str, Figures]]",
    group: str | None,
) -> None:
    cells = _cells(evaluation)
    title = f"by {group}" if group else _title(evaluation)
    table = _table(title)
    if group:
        table.add_column(f"{group}\n(points)", no_wrap=True)
    for name, _ in cells:
        table.add_column(name, justify="right")
    for position, (policy, label, figures) in enumerate(rows):
        is_new = not position or rows[position - 1][0] != policy
        if group and is_new:
            table.add_section()
        place = [escape(f"{label} ({figures.points})")] if group else []
        name = escape(policy) if is_new else ""
        table.add_row(name, *place, *(read(figures) for _, read in cells))
    console.print(table)


def _print_comparisons(console: Console, evaluation: "Evaluation", other: str) -> None:
    title = f"regret against {escape(other)}, on the same points"
    table = _table(title)
    table.add_column("difference,\nvehicles", justify="right")
    table.add_column("ratio", justify="right")
    for one in evaluation.policies:
        if one.against is not None:
            gap, ratio = one.against.difference_veh, one.against.ratio
            table.add_row(escape(one.policy), _estimate(gap, "+.3f"), _estimate(ratio))
    console.print(table)


def _table(title: str) -> Table:
    """A table with a row per policy."""
    policy = Column("policy", overflow="fold", min_width=13)
    return Table(policy, title=title, box=SIMPLE_HEAD, title_justify="left")


def _title(evaluation: "Evaluation") -> str:
    return (
        f"{evaluation.points} decision points of {evaluation.runs} "
        f"run{'s' if evaluation.runs != 1 else ''}, {evaluation.reward} over "
        f"{evaluation.horizon_s} s"
    )


def _cells(evaluation: "Evaluation") -> list[Cell]:
    """The columns, without those that say the same of every policy or nothing at all."""
    everybody = [one.overall for one in evaluation.policies]
    cells: list[Cell] = [("regret,\nvehicles", lambda one: _estimate(one.regret_veh))]
    if any(one.invalid for one in everybody):
        cells.append(("invalid\nas worst", lambda one: _estimate(one.regret_veh_invalid_worst)))
    if evaluation.reward != "queue":
        cells.insert(0, ("regret", lambda one: _estimate(one.regret)))
    cells.append(("agreement", lambda one: _estimate(one.agreement, ".0%")))
    if _has_close_calls(evaluation):
        cells.append(("where\nclear", lambda one: _estimate(one.agreement_clear, ".0%")))
    if any(one.yes for one in everybody):
        cells.append(("yes", lambda one: _estimate(one.yes, ".0%")))
    if any(one.strict for one in everybody):
        cells.append(("invalid", lambda one: _estimate(one.invalid_share, ".0%")))
        cells.append(("strict\nJSON", lambda one: _estimate(one.strict, ".0%")))
    return cells


def _has_close_calls(evaluation: "Evaluation") -> bool:
    """Whether somewhere it hardly matters what is decided."""
    everybody = [one.overall for one in evaluation.policies]
    return any(one.agreement != one.agreement_clear for one in everybody)


def _estimate(estimate: "Estimate | None", form: str = ".3f") -> str:
    """The mean, and in a second line its interval where that says more."""
    if estimate is None:
        return "-"
    value, low, high = estimate.value, estimate.low, estimate.high
    if low is None or high is None or low == high:
        return f"{value:{form}}"
    return f"{value:{form}}\n[dim]{low:{form}}–{high:{form}}[/dim]"


def _remarks(evaluation: "Evaluation") -> list[str]:
    """What the figures do not say by themselves."""
    remarks = []
    if evaluation.runs < 2:
        remarks.append(
            "No intervals: all points are from one simulation run. Evaluate on several runs: more "
            "--seed or --scale in greenfork dataset build, or more --dataset here."
        )
    else:
        remarks.append(
            f"Below each mean: its {evaluation.level:.0%} interval, bootstrapped over runs."
        )
    if _has_close_calls(evaluation):
        remarks.append(
            f"Clear: the queues after the decisions differ by more than "
            f"{evaluation.min_gap_veh:g} vehicles."
        )
    others = {kind: count for kind, count in evaluation.fidelity.items() if kind != "own"}
    for kind, count in sorted(others.items()):
        remarks.append(
            f"{count} of {evaluation.points} points are {kind}: they have not been shown to be "
            "from the user's own simulation (greenfork dataset verify --config YOUR.sumocfg)."
        )
    for one in evaluation.policies:
        remarks += _reasons(one.policy, one.overall)
    if evaluation.failures:
        remarks.append(f"{len(evaluation.failures)} decision points could not be judged:")
        for failure in evaluation.failures[:_MAX_FAILURES]:
            error = failure.error
            remarks.append(
                f"  {failure.state_id}, signal {failure.tls_id}: {error.code}: {error.message}"
            )
        if len(evaluation.failures) > _MAX_FAILURES:
            remarks.append("  … --json lists all of them")
    return remarks


def _reasons(policy: str, figures: "Figures") -> list[str]:
    said = []
    if figures.invalid:
        codes = ", ".join(f"{code} {count}" for code, count in figures.invalid.items())
        said.append(f"{policy}: invalid: {codes}")
    if figures.unscored:
        said.append(
            f"{policy}: {figures.unscored} legal answers are not among the stored outcomes and are "
            "left out; a reward service (--url) can score them"
        )
    if figures.failed:
        codes = ", ".join(f"{code} {count}" for code, count in figures.failed.items())
        said.append(f"{policy}: could not be rolled out: {codes}")
    return said
