"""The reward functions of a GRPO run, as called by TRL: answer format and traffic.

Both are views of one scored batch. If a traffic reward could not be computed, *both* are None: only
then does TRL give the completion no advantage and exclude it from its group's mean.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from trainer.curriculum.telemetry import CurriculumMetrics
from trainer.grpo.batch_scorer import REWARD_BOUND, BatchScorer, Completions, ScoredBatch
from trainer.grpo.format_reward import format_reward
from trainer.grpo.plan_metrics import plan_metrics
from trainer.grpo.regret import KnownRegrets
from trainer.runs.run_stats import BatchCounts, zero_variance_share

__all__ = ["FormatReward", "RewardWeights", "TrafficReward", "batch_of"]


_CLAMPED = (
    "rewards were clamped to the bound, so groups may be equal and teach nothing; use smaller "
    "weights in reward_terms, or another reward"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RewardWeights:
    """The weights of the reward functions, and the group size."""

    format_weight: float
    traffic_weight: float
    group_size: int
    """Completions per prompt."""


class FormatReward:
    """Strict JSON, ``extend`` one of yes and no: see :func:`format_reward`.

    Args:
        scorer: Knows which completions failed.
    """

    __name__ = "format"

    def __init__(self, scorer: BatchScorer) -> None:
        self._scorer = scorer

    async def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[float | None]:  # noqa: ANN401
        """One reward per completion; None if its traffic reward failed."""
        batch = batch_of(completions, columns, self._scorer.opened)
        return _format_rewards(batch, await self._scorer.scored(completions, batch))


class TrafficReward:
    """The simulated traffic after the decision, through the reward URL; counts the batch.

    Args:
        scorer: Calls the service.
        weights: For the share of groups whose total reward does not vary.
        more: Additional metrics per batch.
    """

    __name__ = "traffic"

    def __init__(
        self, scorer: BatchScorer, weights: RewardWeights, more: CurriculumMetrics | None = None
    ) -> None:
        self._scorer = scorer
        self._weights = weights
        self._more = more
        self._regrets = KnownRegrets()

    async def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[float | None]:  # noqa: ANN401
        """One reward per completion; None if it failed."""
        batch = batch_of(completions, columns, self._scorer.opened)
        scored = await self._scorer.scored(completions, batch)
        stats = self._scorer.stats
        totals = self._totals(batch, scored)
        outcomes = columns.get("outcomes") or [None] * len(scored)
        counts = self._counts(batch, scored, totals, outcomes)
        if counts.clamped and not stats.clamped:
            log.warning(_CLAMPED, rewards=counts.clamped, bound=REWARD_BOUND)
        stats.add(counts, [one.status == "failed" for one in scored])
        if (log_metric := columns.get("log_metric")) is not None:
            more = {} if self._more is None else self._more.of(totals, columns)
            more |= plan_metrics(scored, columns)
            for name, value in (stats.metrics() | more).items():
                log_metric(name, value)
        return [one.reward for one in scored]

    def _totals(self, batch: Completions, scored: Sequence[ScoredBatch]) -> list[float | None]:
        return [
            None
            if form is None or one.reward is None
            else self._weights.format_weight * form + self._weights.traffic_weight * one.reward
            for form, one in zip(_format_rewards(batch, scored), scored, strict=True)
        ]

    def _counts(
        self,
        batch: Completions,
        scored: Sequence[ScoredBatch],
        totals: Sequence[float | None],
        outcomes: Sequence[Any],
    ) -> BatchCounts:
        present = [total for total in totals if total is not None]
        keys = list(zip(batch.state_ids, batch.tls_ids, batch.kinds, strict=True))
        return BatchCounts(
            items=len(scored),
            invalid=Counter(one.code or "invalid" for one in scored if one.status == "invalid"),
            failed=Counter(one.code or "failed" for one in scored if one.status == "failed"),
            cached=sum(one.is_cached for one in scored),
            clamped=sum(one.is_clamped for one in scored),
            yes=sum(one.is_yes is True for one in scored),
            decided=sum(one.is_yes is not None for one in scored),
            zero_variance=zero_variance_share(keys, totals, self._weights.group_size),
            reward=sum(present) / len(present) if present else None,
            regret_veh=self._regrets.mean(keys, outcomes, [one.decision for one in scored]),
        )


def _format_rewards(batch: Completions, scored: Sequence[ScoredBatch]) -> list[float | None]:
    return [
        None if one.status == "failed" else format_reward(text, kind, batch.opened)
        for text, kind, one in zip(batch.texts, batch.kinds, scored, strict=True)
    ]


def batch_of(
    completions: Sequence[Any], columns: Mapping[str, Any], opened: str = ""
) -> Completions:
    """Completions from TRL, as texts or messages, with the columns of their rows."""
    texts = [c if isinstance(c, str) else c[-1]["content"] or "" for c in completions]
    places = columns["state_id"], columns["tls_id"], columns["decision_kind"]
    return Completions(texts, *places, opened)
