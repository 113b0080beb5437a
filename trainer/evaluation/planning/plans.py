"""``evaluate`` on planning problems: success, goals and lengths, by domain and difficulty.

Plans are judged at the reward URL, whoever made them: models, the reference planner, and walks of
legal steps by chance. Intervals are over problems.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from reward_client import RewardClient
from shared.errors import ConfigError
from shared.model import WireModel
from shared.rewards import RewardSpec
from shared.wire.scoring import DomainItem, ScoreResult
from trainer.evaluation.bootstrap import Bootstrap
from trainer.evaluation.planning.figures import (
    JudgedPlans,
    PlanComparison,
    PlanFigures,
    compared_plans,
    figures_by,
    plan_figures,
)
from trainer.evaluation.planning.problems import PlanProblem

__all__ = ["Answerer", "PlanEvaluation", "PlanPolicyReport", "evaluate_plans"]

_SPEC = RewardSpec(name="plan_valid", invalid_reward=0.0)
_TIMEOUT_S = 3600.0

Answerer = Callable[[Sequence[PlanProblem]], Sequence[Sequence[str]]]
"""Makes plans for each problem, at least one, as a model would write them. Their mean counts."""


class PlanPolicyReport(WireModel):
    """One policy."""

    policy: str
    overall: PlanFigures
    by_domain: dict[str, PlanFigures]
    by_difficulty: dict[str, PlanFigures]
    against: PlanComparison | None = None
    """Beside the policy that all others are compared with."""


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


def evaluate_plans(
    dataset: Path,
    split: str,
    problems: Sequence[PlanProblem],
    policies: Mapping[str, Answerer],
    connect: Callable[[], RewardClient],
    bootstrap: Bootstrap,
    against: str | None = None,
) -> PlanEvaluation:
    """Judges every policy on the same problems.

    Args:
        dataset: Where they are from, for the report.
        split: Which of its rows.
        problems: At least one.
        policies: By name.
        connect: Makes a client of the reward service.
        bootstrap: Resamples and seed.
        against: The policy that the others are compared with.

    Raises:
        ConfigError: ``against`` is none of the policies.
        ServiceError: The service does not answer, or does not serve the problems.
    """
    if against is not None and against not in policies:
        raise ConfigError(f"--against {against}: it is none of {', '.join(policies)}")
    plans = {name: answer(problems) for name, answer in policies.items()}
    judged = asyncio.run(_judged(problems, plans, connect))
    other = None if against is None else judged[against]
    return PlanEvaluation(
        dataset=str(dataset),
        split=split,
        problems=len(problems),
        policies=tuple(
            _report(
                name,
                one,
                bootstrap,
                None
                if against is None or other is None or name == against
                else compared_plans(one, against, other, bootstrap),
            )
            for name, one in judged.items()
        ),
    )


async def _judged(
    problems: Sequence[PlanProblem],
    plans: Mapping[str, Sequence[Sequence[str]]],
    connect: Callable[[], RewardClient],
) -> dict[str, list[JudgedPlans]]:
    """The plans of every policy; those for one problem go together, for it is read once then."""
    items = [
        DomainItem(domain="planning", problem_id=problem.problem_id, completion=plan)
        for problem, *proposed in zip(problems, *plans.values(), strict=True)
        for own in proposed
        for plan in own
    ]
    async with connect() as client:
        results: Iterator[ScoreResult] = iter(
            (await client.score(items, _SPEC, _TIMEOUT_S)).results
        )
    judged: dict[str, list[JudgedPlans]] = {name: [] for name in plans}
    for number, problem in enumerate(problems):
        for name, own in plans.items():
            judged[name].append(JudgedPlans(problem, tuple(islice(results, len(own[number])))))
    return judged


def _report(
    name: str, judged: Sequence[JudgedPlans], bootstrap: Bootstrap, beside: PlanComparison | None
) -> PlanPolicyReport:
    return PlanPolicyReport(
        policy=name,
        overall=plan_figures(judged, bootstrap),
        by_domain=figures_by(judged, lambda one: one.problem.domain, bootstrap),
        by_difficulty=figures_by(judged, lambda one: one.problem.level, bootstrap),
        against=beside,
    )
