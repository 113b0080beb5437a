"""What plans came to, over some problems, with intervals over these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from shared.model import WireModel
from shared.rewards import DomainMetrics
from shared.wire.scoring import ScoreResult
from trainer.evaluation.bootstrap import Bootstrap
from trainer.evaluation.planning.problems import PlanProblem

__all__ = [
    "Interval",
    "JudgedPlans",
    "PlanComparison",
    "PlanFigures",
    "compared_plans",
    "figures_by",
    "plan_figures",
]


class Interval(WireModel):
    """A mean over problems, with the interval in which 95 % of the resampled means lie."""

    value: float
    low: float
    high: float


class PlanFigures(WireModel):
    """What plans came to, over some problems."""

    problems: int
    success: Interval | None
    """Share of valid plans, of each problem's answers and then over problems; None where none
    could be judged."""
    goals: Interval | None
    """Mean share of the goals that hold after the executable part; 0 where there is no plan."""
    length: Interval | None = None
    """Steps of a valid plan / steps of the reference plan, mean; None where no plan is valid, or
    none of these problems has a reference."""
    answers: int
    """Answers to all problems together: more than problems where several were sampled."""
    invalid: int
    """Answers that hold no plan of the domain's actions."""
    failed: int
    """Answers that could not be judged: they are in no mean."""


class PlanComparison(WireModel):
    """A policy minus another one, problem by problem: what is hard for both cancels out."""

    policy: str
    """The other one."""
    problems: int
    """Problems for which the plans of both were judged."""
    success: Interval
    """Difference of the shares of valid plans; above 0 is better."""
    goals: Interval
    """Difference of the mean shares of goals."""


@dataclass(frozen=True)
class JudgedPlans:
    """A policy's plans for a problem, and what the service said of each."""

    problem: PlanProblem
    results: tuple[ScoreResult, ...]
    """At least one."""

    @property
    def is_known(self) -> bool:
        """Whether any of them could be judged."""
        return bool(self._known())

    @property
    def success(self) -> float:
        """The share that is valid of those that could be judged."""
        return fmean(_metric(one, "is_valid") for one in self._known())

    @property
    def goals(self) -> float:
        """The share of the goals that they reach, mean."""
        return fmean(_metric(one, "goals_share") for one in self._known())

    @property
    def length(self) -> float | None:
        """Steps of a valid one / those of the reference plan, mean; None if there is no such."""
        reference = self.problem.plan_steps
        valid = [one for one in self._known() if _metric(one, "is_valid")]
        if not reference or not valid:
            return None
        return fmean(_metric(one, "steps") / reference for one in valid)

    def count(self, status: str) -> int:
        """How many came out so."""
        return sum(one.status == status for one in self.results)

    def _known(self) -> list[ScoreResult]:
        return [one for one in self.results if one.status != "failed"]


def _metric(result: ScoreResult, name: str) -> float:
    """A metric of a plan; 0 where the answer is none."""
    metrics = result.metrics
    found = metrics.root.get(name) if isinstance(metrics, DomainMetrics) else None
    return float(found or 0.0)


def plan_figures(judged: Sequence[JudgedPlans], bootstrap: Bootstrap) -> PlanFigures:
    """The figures of one policy's plans."""
    known = [one for one in judged if one.is_known]
    lengths = [one.length for one in known if one.length is not None]
    return PlanFigures(
        problems=len(judged),
        success=_interval([one.success for one in known], bootstrap),
        goals=_interval([one.goals for one in known], bootstrap),
        length=_interval(lengths, bootstrap),
        answers=sum(len(one.results) for one in judged),
        invalid=sum(one.count("invalid") for one in judged),
        failed=sum(one.count("failed") for one in judged),
    )


def figures_by(
    judged: Sequence[JudgedPlans], key: Callable[[JudgedPlans], str], bootstrap: Bootstrap
) -> dict[str, PlanFigures]:
    """The figures of each group of plans, by its name."""
    groups: dict[str, list[JudgedPlans]] = {}
    for one in judged:
        groups.setdefault(key(one), []).append(one)
    return {name: plan_figures(groups[name], bootstrap) for name in sorted(groups)}


def compared_plans(
    judged: Sequence[JudgedPlans], name: str, others: Sequence[JudgedPlans], bootstrap: Bootstrap
) -> PlanComparison | None:
    """Two policies on the same problems; None if there is none that both were judged on.

    Args:
        judged: The plans of one, in the order of the problems.
        name: The other policy's.
        others: Its plans, in the same order.
        bootstrap: Resamples and seed.
    """
    pairs = [
        (one, other)
        for one, other in zip(judged, others, strict=True)
        if one.is_known and other.is_known
    ]
    success = _interval([one.success - other.success for one, other in pairs], bootstrap)
    goals = _interval([one.goals - other.goals for one, other in pairs], bootstrap)
    if success is None or goals is None:
        return None
    return PlanComparison(policy=name, problems=len(pairs), success=success, goals=goals)


def _interval(values: Sequence[float], bootstrap: Bootstrap) -> Interval | None:
    """The mean of some numbers and its interval, by resampling them; None of none."""
    import numpy as np

    if not values:
        return None
    chance = np.random.default_rng(bootstrap.seed)
    drawn = chance.choice(np.asarray(values), size=(bootstrap.resamples, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5)).tolist()
    return Interval(value=fmean(values), low=low, high=high)
