"""What the proof found, as Markdown for people and documents."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.learning.tables import table
from benchmarks.learning_planning.program import Judged
from trainer.evaluation.planning import (
    Interval,
    PlanEvaluation,
    PlanFigures,
    PlanPolicyReport,
)

__all__ = ["plans_table"]

_HEAD = (
    *("policy", "valid, sampled", "beside its start", "valid, greedy", "beside its start"),
    *("goals reached, sampled", "steps / reference", "invalid"),
)


def plans_table(baselines: PlanEvaluation, models: Mapping[int, Judged]) -> str:
    """A row a policy, 95 % intervals over problems in brackets.

    Args:
        baselines: The planner and the random walk, which have one plan for each problem.
        models: By seed.
    """
    return table(_HEAD, [*map(_baseline, baselines.policies), *_models(models)])


def _baseline(one: PlanPolicyReport) -> list[str]:
    figures = one.overall
    shares = ["–", "–", _share(figures.success), "–", _share(figures.goals)]
    return [one.policy, *shares, _length(figures), str(figures.invalid)]


def _models(models: Mapping[int, Judged]) -> Iterator[list[str]]:
    for judged in models.values():
        for sampled, greedy in zip(judged.sampled.policies, judged.greedy.policies, strict=True):
            figures = sampled.overall
            yield [
                Path(sampled.policy).parent.name,
                *_solved(sampled),
                *_solved(greedy),
                _share(figures.goals),
                _length(figures),
                f"{figures.invalid} of {figures.answers}",
            ]


def _solved(one: PlanPolicyReport) -> tuple[str, str]:
    gained = one.against.success if one.against else None
    return _share(one.overall.success), _share(gained, sign="+")


def _share(one: Interval | None, sign: str = "") -> str:
    if one is None:
        return "–"
    return f"{one.value:{sign}.0%} [{one.low:{sign}.0%}, {one.high:{sign}.0%}]"


def _length(figures: PlanFigures) -> str:
    one = figures.length
    return "–" if one is None else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
