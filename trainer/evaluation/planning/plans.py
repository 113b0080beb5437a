"""``evaluate`` on planning problems: success and goals by domain and difficulty.

Plans are judged at the reward URL, whoever made them: models, the reference planner, and walks of
legal steps by chance. Intervals are over problems.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_client import RewardClient
from shared.errors import ConfigError, DatasetError
from shared.model import WireModel
from shared.rewards import DomainMetrics, RewardSpec
from shared.wire.scoring import DomainItem, ScoreResult
from trainer.curriculum import buckets_of, row_sample
from trainer.curriculum.buckets import GradedSample, Level
from trainer.data.prompts import read_rows
from trainer.evaluation.bootstrap import Bootstrap

__all__ = [
    "Answerer",
    "Interval",
    "PlanEvaluation",
    "PlanFigures",
    "PlanPolicyReport",
    "PlanProblem",
    "evaluate_plans",
    "read_plan_problems",
    "reference_plans",
]

_SPEC = RewardSpec(name="plan_valid", invalid_reward=0.0)
_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class PlanProblem:
    """A row of a planning dataset."""

    problem_id: str
    prompt: tuple[Mapping[str, str], ...]
    domain: str
    """As the curriculum tells domains apart."""
    level: Level
    plan: str | None
    """The reference plan."""


Answerer = Callable[[Sequence[PlanProblem]], Sequence[str]]
"""Makes a plan for each problem, as a model would write it."""


class Interval(WireModel):
    """A mean over problems, with the interval in which 95 % of the resampled means lie."""

    value: float
    low: float
    high: float


class PlanFigures(WireModel):
    """What plans came to, over some problems."""

    problems: int
    success: Interval | None
    """Share of valid plans; None where none could be judged."""
    goals: Interval | None
    """Mean share of the goals that hold after the executable part; 0 where there is no plan."""
    invalid: int
    """Answers that hold no plan of the domain's actions."""
    failed: int
    """Answers that could not be judged: they are in no mean."""


class PlanPolicyReport(WireModel):
    """One policy."""

    policy: str
    overall: PlanFigures
    by_domain: dict[str, PlanFigures]
    by_difficulty: dict[str, PlanFigures]


class PlanEvaluation(WireModel):
    """All policies on the same problems."""

    dataset: str
    split: str
    problems: int
    policies: tuple[PlanPolicyReport, ...]

    @property
    def failed(self) -> int:
        """Answers that could not be judged."""
        return sum(one.overall.failed for one in self.policies)


@dataclass(frozen=True)
class _Judged:
    problem: PlanProblem
    result: ScoreResult

    @property
    def success(self) -> float:
        return self.result.reward or 0.0

    @property
    def goals(self) -> float:
        metrics = self.result.metrics
        found = metrics.root["goals_share"] if isinstance(metrics, DomainMetrics) else 0.0
        return float(found or 0.0)


def read_plan_problems(root: Path, split: str) -> list[PlanProblem]:
    """The rows of a split, or of both (``all``).

    Raises:
        DatasetError: There are none.
    """
    splits = ("train", "eval") if split == "all" else (split,)
    rows: list[dict[str, Any]] = []
    for name in splits:
        rows += read_rows(root / f"{name}.jsonl")
    if not rows:
        raise DatasetError(f"{root} has no rows of the split {split}")
    samples: list[GradedSample] = [row_sample(row) for row in rows]
    levels: dict[int, Level] = {
        number: level
        for bucket in buckets_of(samples)
        for level, numbers in bucket.rows.items()
        for number in numbers
    }
    return [
        PlanProblem(
            problem_id=row["problem_id"],
            prompt=tuple(row["prompt"]),
            domain=sample.domain,
            level=levels[number],
            plan=row.get("plan"),
        )
        for number, (row, sample) in enumerate(zip(rows, samples, strict=True))
    ]


def reference_plans(problems: Sequence[PlanProblem]) -> list[str]:
    """The planner as a policy.

    Raises:
        ConfigError: The dataset was built without one.
    """
    if any(problem.plan is None for problem in problems):
        raise ConfigError("the dataset has no reference plans: leave --baseline oracle out")
    return [problem.plan or "" for problem in problems]


def evaluate_plans(
    dataset: Path,
    split: str,
    problems: Sequence[PlanProblem],
    policies: Mapping[str, Answerer],
    connect: Callable[[], RewardClient],
    bootstrap: Bootstrap,
) -> PlanEvaluation:
    """Judges every policy on the same problems.

    Args:
        dataset: Where they are from, for the report.
        split: Which of its rows.
        problems: At least one.
        policies: By name.
        connect: Makes a client of the reward service.
        bootstrap: Resamples and seed.

    Raises:
        ServiceError: The service does not answer, or does not serve the problems.
    """
    reports = []
    for name, answer in policies.items():
        results = asyncio.run(_judged(problems, answer(problems), connect))
        pairs = zip(problems, results, strict=True)
        judged = [_Judged(problem, result) for problem, result in pairs]
        reports.append(
            PlanPolicyReport(
                policy=name,
                overall=_figures(judged, bootstrap),
                by_domain=_grouped(judged, lambda one: one.problem.domain, bootstrap),
                by_difficulty=_grouped(judged, lambda one: one.problem.level, bootstrap),
            )
        )
    return PlanEvaluation(
        dataset=str(dataset), split=split, problems=len(problems), policies=tuple(reports)
    )


async def _judged(
    problems: Sequence[PlanProblem],
    plans: Sequence[str],
    connect: Callable[[], RewardClient],
) -> Sequence[ScoreResult]:
    items = [
        DomainItem(domain="planning", problem_id=problem.problem_id, completion=plan)
        for problem, plan in zip(problems, plans, strict=True)
    ]
    async with connect() as client:
        return (await client.score(items, _SPEC, _TIMEOUT_S)).results


def _grouped(
    judged: Sequence[_Judged], key: Callable[[_Judged], str], bootstrap: Bootstrap
) -> dict[str, PlanFigures]:
    groups: dict[str, list[_Judged]] = {}
    for one in judged:
        groups.setdefault(key(one), []).append(one)
    return {name: _figures(groups[name], bootstrap) for name in sorted(groups)}


def _figures(judged: Sequence[_Judged], bootstrap: Bootstrap) -> PlanFigures:
    known = [one for one in judged if one.result.status != "failed"]
    return PlanFigures(
        problems=len(judged),
        success=_interval([one.success for one in known], bootstrap),
        goals=_interval([one.goals for one in known], bootstrap),
        invalid=sum(one.result.status == "invalid" for one in judged),
        failed=len(judged) - len(known),
    )


def _interval(values: Sequence[float], bootstrap: Bootstrap) -> Interval | None:
    """The mean of some numbers and its interval, by resampling them; None of none."""
    import numpy as np

    if not values:
        return None
    chance = np.random.default_rng(bootstrap.seed)
    drawn = chance.choice(np.asarray(values), size=(bootstrap.resamples, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5)).tolist()
    return Interval(value=float(np.mean(values)), low=low, high=high)
