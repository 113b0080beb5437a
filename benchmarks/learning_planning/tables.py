"""What the proof found, as Markdown for people and documents."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.learning.tables import table
from trainer.evaluation.planning import Interval, PlanEvaluation, PlanFigures

__all__ = ["plans_table"]


def plans_table(baselines: PlanEvaluation, models: Mapping[int, PlanEvaluation]) -> str:
    """A row a policy, 95 % intervals over problems in brackets.

    Args:
        baselines: The planner and the random walk.
        models: By seed.
    """
    domains = sorted(baselines.policies[0].by_domain)
    head = ["policy", "solved", "beside its start", "goals reached", "steps / reference", "invalid"]
    return table([*head, *(f"solved, {domain}" for domain in domains)], _rows(baselines, models))


def _rows(baselines: PlanEvaluation, models: Mapping[int, PlanEvaluation]) -> Iterator[list[str]]:
    for evaluation in (baselines, *models.values()):
        for one in evaluation.policies:
            folder = Path(one.policy)
            gained = one.against.success if one.against else None
            yield [
                folder.parent.name or one.policy,
                _share(one.overall.success),
                _share(gained, sign="+"),
                _share(one.overall.goals),
                _length(one.overall),
                str(one.overall.invalid),
                *(_share(figures.success) for _, figures in sorted(one.by_domain.items())),
            ]


def _share(one: Interval | None, sign: str = "") -> str:
    if one is None:
        return "–"
    return f"{one.value:{sign}.0%} [{one.low:{sign}.0%}, {one.high:{sign}.0%}]"


def _length(figures: PlanFigures) -> str:
    one = figures.length
    return "–" if one is None else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
