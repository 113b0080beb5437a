"""Beam search for plans: sequences of *yes* and *no* at successive decision points.

This module does the search and builds the rows; a scorer, be it the pool or a reward service, says
what a plan is worth. Every prefix of a plan is a plan, so that beams are compared by rewards of
whole rollouts, never by estimates.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.candidates import PlanRow, ScoredDecision
from shared.dataset import Row
from shared.decisions import MAX_PLAN_STEPS, Plan, PlanStep
from shared.errors import ConfigError, InputError, InvalidDecision, RequestError, RolloutError
from shared.language.prompts import plan_prompt
from shared.rewards import RewardSpec
from shared.wire.error_info import ErrorInfo

__all__ = ["FailedRow", "PlanScorer", "SearchOptions", "search_plans", "search_row"]

PlanScorer = Callable[[Row, Sequence[Plan]], Awaitable[Sequence[float]]]
"""Returns the reward of each plan at a decision point, in order, or raises if one has none."""


@dataclass(frozen=True)
class SearchOptions:
    """How wide and how deep to search.

    Raises:
        ConfigError: A plan of that depth would outlast the rollout that scores it.
    """

    reward: RewardSpec
    beam: int = 5
    """Plans kept at each depth, and candidates per row."""
    depth: int = 3
    """Decisions per plan."""
    extend_s: int = 5
    """Seconds between decision points, and the length of a *yes*."""

    def __post_init__(self) -> None:
        if self.beam < 2 or not 1 <= self.depth <= MAX_PLAN_STEPS:
            raise ConfigError(
                f"beam must be at least 2, and depth from 1 to {MAX_PLAN_STEPS}; got {self.beam} "
                f"and {self.depth}"
            )
        if self.depth * self.extend_s > self.reward.horizon_s:
            raise ConfigError(
                f"{self.depth} decisions, {self.extend_s} s apart, take longer than the horizon "
                f"of {self.reward.horizon_s} s over which they are judged"
            )


@dataclass(frozen=True)
class FailedRow:
    """A row without candidates, and the reason."""

    state_id: str
    tls_id: str
    error: ErrorInfo


async def search_row(row: Row, options: SearchOptions, score: PlanScorer) -> PlanRow | FailedRow:
    """The best plans of one decision point. If one plan fails, so does the row.

    An error of the scorer itself, such as a service that does not answer, is raised.

    Args:
        row: The decision point.
        options: How wide and how deep to search.
        score: Returns the rewards of plans.
    """
    try:
        prompt = plan_prompt(row.prompt, options.extend_s, options.depth)
        found = await search_plans(lambda plans: score(row, plans), options)
    except (InputError, InvalidDecision, RequestError, RolloutError) as exc:
        return FailedRow(row.state_id, row.tls_id, ErrorInfo.of(exc))
    point = row.model_dump(exclude={"prompt", "decision_kind", "outcomes"})
    return PlanRow(
        **point,
        prompt=prompt,
        decision_kind="plan",
        id_list=tuple(_words(plan) for plan, _ in found),
        score_list=tuple(reward for _, reward in found),
        candidates=tuple(ScoredDecision(decision=plan, reward=reward) for plan, reward in found),
        reward=options.reward,
    )


async def search_plans(
    score: Callable[[Sequence[Plan]], Awaitable[Sequence[float]]], options: SearchOptions
) -> list[tuple[Plan, float]]:
    """The best plans that a beam search finds, with their rewards.

    Args:
        score: Returns the reward of each of some plans, in order.
        options: How wide and how deep to search.

    Returns:
        At most ``beam`` plans of ``depth`` steps, the best first; among equals, *yes* before *no*.
    """
    beam: list[tuple[bool, ...]] = [()]
    ranked: list[tuple[Plan, float]] = []
    for _ in range(options.depth):
        longer = [(*prefix, answer) for prefix in sorted(beam, reverse=True) for answer in _ANSWERS]
        plans = [_plan(answers, options.extend_s) for answers in longer]
        rewards = await score(plans)
        order = sorted(range(len(plans)), key=lambda position: -rewards[position])[: options.beam]
        beam = [longer[position] for position in order]
        ranked = [(plans[position], rewards[position]) for position in order]
    return ranked


_ANSWERS = (True, False)


def _plan(answers: Sequence[bool], extend_s: int) -> Plan:
    return Plan(steps=tuple(PlanStep(extend=yes) for yes in answers), extend_s=extend_s)


def _words(plan: Plan) -> tuple[str, ...]:
    return tuple("yes" if step.extend else "no" for step in plan.steps)
