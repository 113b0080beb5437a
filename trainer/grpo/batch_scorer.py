"""Scores the completions of a generation batch: once, for every reward function.

Owns the one call to the reward service a batch and what becomes of each completion. How a run
counts that and when it gives up is :mod:`trainer.runs.run_stats`; what a text's form is worth is
:mod:`trainer.grpo.reward_functions`.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from reward_client import RetryPolicy
from shared.decisions import Decision, DecisionKind, Extend
from shared.errors import ServiceError, ServiceRefused, ServiceUnreachable
from shared.language.completion_items import DEFAULT_EXTEND_S, Situation
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem, ScoreResponse, ScoreResult, Status
from trainer.grpo.reward_shaping import as_the_worst, shuffled
from trainer.runs.run_stats import RunStats, group_numbers

__all__ = ["REWARD_BOUND", "BatchScorer", "Completions", "ScoredBatch", "ScoringTerms", "patience"]

REWARD_BOUND = 1e6
"""Rewards are clamped to plus or minus this: one wild number would destroy the weights. A thousand
vehicles that wait a thousand seconds each are within it, and decisions that differ by a tenth are
still apart in the float32 of the advantages."""

IMPATIENT = RetryPolicy(retries=0)
"""Gives up at once."""

log = structlog.get_logger(__name__)


def patience(outage_s: float) -> RetryPolicy:
    """How long and how often a service that is gone is asked whether it is back.

    Args:
        outage_s: Seconds after which it is given up.
    """
    return RetryPolicy(retries=1_000_000, base_s=0.5, cap_s=10.0, total_s=outage_s)


class CompletionScorer(Protocol):
    """What is needed of :class:`reward_client.RewardClient`."""

    async def score(
        self, items: Sequence[ScoreItem], reward: RewardSpec, timeout_s: float = ...
    ) -> ScoreResponse:
        """Scores items, in order."""


@dataclass(frozen=True)
class ScoringTerms:
    """What is asked of the service for every completion."""

    reward: RewardSpec
    timeout_s: float
    extend_s: int = DEFAULT_EXTEND_S
    """Seconds that a *yes* without seconds of its own adds."""
    group_size: int | None = None
    """Completions per prompt; None where all of one prompt in a batch are one group."""
    run: str = "run"
    """Makes the ids of this run's groups differ from any other's."""
    deal_seed: Callable[[], str] | None = None
    """Deals the rewards of each group out at random (:mod:`trainer.grpo.reward_shaping`), by a seed
    that it gives for each batch; None does not."""
    is_invalid_worst: bool = False
    """Whether an invalid answer is worth what the worst valid one of its group or batch is,
    :mod:`trainer.grpo.reward_shaping`."""


@dataclass(frozen=True)
class Completions:
    """A batch as TRL hands it over: texts and columns of their rows; not always whole groups."""

    texts: Sequence[str]
    state_ids: Sequence[str]
    tls_ids: Sequence[str]
    kinds: Sequence[DecisionKind]
    opened: str = ""
    """The tag of a block of reasoning that the chat template has opened before each text; the
    service is told, for without it a reasoning that was cut off looks like an answer."""

    def groups(self, terms: ScoringTerms) -> list[int]:
        """Which group each completion belongs to."""
        keys = list(zip(self.state_ids, self.tls_ids, self.kinds, strict=True))
        return group_numbers(keys, terms.group_size or len(keys))

    def items(self, terms: ScoringTerms, batch: int) -> list[ScoreItem]:
        """The completions as the service is asked about them.

        Args:
            terms: How.
            batch: The number of the generation batch, for the ids of its groups.
        """
        rows = zip(self.texts, self.state_ids, self.tls_ids, self.kinds, strict=True)
        groups = self.groups(terms)
        return [
            Situation(state_id=state, tls_id=tls, decision_kind=kind).item(
                self.opened + text, terms.extend_s, f"{terms.run}/{batch}/{group}"
            )
            for (text, state, tls, kind), group in zip(rows, groups, strict=True)
        ]


@dataclass(frozen=True)
class ScoredBatch:
    """What became of one completion."""

    status: Status
    reward: float | None
    """None exactly where the status is ``failed``."""
    code: str | None = None
    """Why it is invalid or failed."""
    is_cached: bool = False
    is_clamped: bool = False
    """Whether the service's reward was beyond the bound."""
    decision: Decision | None = None
    """What was decided; None where nothing legal could be read."""

    @property
    def is_yes(self) -> bool | None:
        """Whether the decision was to extend; None where there is none, or one of another kind."""
        return self.decision.extend if isinstance(self.decision, Extend) else None


class BatchScorer:
    """Scores each batch once, however many reward functions ask for it.

    The client is made at the first batch, on the loop that TRL runs reward functions on, because
    connections belong to the loop they were made in.

    Args:
        connect: Makes the client.
        terms: What is asked of the service.
        stats: Where outcomes are counted; its stop flag is set when the service is lost.
        patience: How long to wait for a service that is gone.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        connect: Callable[[], CompletionScorer],
        terms: ScoringTerms,
        stats: RunStats,
        patience: RetryPolicy = IMPATIENT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = stats
        self._patience = patience
        self._connect = connect
        self._terms = terms
        self._clock = clock
        self.client: CompletionScorer | None = None
        self.opened = ""
        """What the chat template opens before each completion; known once there is a model."""
        self._batches = 0
        self._key: object = None
        self._task: Awaitable[list[ScoredBatch]] | None = None

    async def scored(self, key: object, batch: Completions) -> list[ScoredBatch]:
        """The outcomes of a batch, in its order. Never raises for a service that is gone.

        Args:
            key: The object that identifies the batch: all who pass the same one share one call.
            batch: What to score.
        """
        if self._task is None or self._key is not key:
            self._key = key
            self._batches += 1
            self._task = asyncio.ensure_future(self._score(batch))
        return await self._task

    async def look_ahead(self, points: Sequence[tuple[str, str]]) -> None:
        """Has both *extend* decisions simulated in states that come soon; fails silently.

        Args:
            points: States and signals.
        """
        items = [
            ScoreItem(
                state_id=state_id,
                tls_id=tls_id,
                decision=Extend(extend=is_yes, extend_s=self._terms.extend_s),
            )
            for state_id, tls_id in points
            for is_yes in (True, False)
        ]
        with contextlib.suppress(ServiceError):
            response = await self._connected().score(
                items, self._terms.reward, self._terms.timeout_s
            )
            self.stats.rollouts += response.counts.rollouts

    def _connected(self) -> CompletionScorer:
        if self.client is None:
            self.client = self._connect()
        return self.client

    async def _score(self, batch: Completions) -> list[ScoredBatch]:
        began = self._clock()
        rollouts = 0
        try:
            response = await self._answer(batch.items(self._terms, self._batches))
        except ServiceError as exc:
            self.stats.stop.set(_lost(exc), is_batch_lost=True)
            scored = [ScoredBatch("failed", None, exc.code)] * len(batch.texts)
        else:
            scored = self._settled(batch, [_scored(result) for result in response.results])
            rollouts = response.counts.rollouts
        self.stats.service_answered(self._clock() - began, rollouts)
        return scored

    async def _answer(self, items: Sequence[ScoreItem]) -> ScoreResponse:
        """The answer to a batch; while nothing answers, the training waits here."""
        client = self._connected()
        deadline, attempt = self._patience.deadline(), 0
        while True:
            try:
                response = await client.score(items, self._terms.reward, self._terms.timeout_s)
            except ServiceUnreachable as exc:
                if not await self._patience.waited(attempt, deadline):
                    raise
                self._paused(attempt, exc)
                attempt += 1
                continue
            if attempt:
                log.info("the reward service answers again; the training goes on")
            return response

    def _paused(self, attempt: int, error: ServiceUnreachable) -> None:
        """Says once an outage that the training waits."""
        if attempt == 0:
            self.stats.outages += 1
            log.warning(
                "the training pauses: the reward service does not answer",
                reason=error.message,
                give_up_after_s=self._patience.total_s,
            )

    def _settled(self, batch: Completions, scored: list[ScoredBatch]) -> list[ScoredBatch]:
        """As the service says, but for invalid answers that count as the worst, and the control."""
        terms, rewards = self._terms, [one.reward for one in scored]
        groups = batch.groups(terms)
        if terms.is_invalid_worst:
            invalid = [one.status == "invalid" for one in scored]
            rewards = as_the_worst(rewards, invalid, groups, terms.reward.invalid_reward)
        if terms.deal_seed is not None:
            rewards = shuffled(rewards, groups, terms.deal_seed())
        return [replace(one, reward=reward) for one, reward in zip(scored, rewards, strict=True)]


def _scored(result: ScoreResult) -> ScoredBatch:
    code = result.error.code if result.error else None
    if result.reward is None or not math.isfinite(result.reward):
        return ScoredBatch("failed", None, code or "no_reward")
    return ScoredBatch(
        status=result.status,
        reward=max(-REWARD_BOUND, min(REWARD_BOUND, result.reward)),
        code=code,
        is_cached=result.cached,
        is_clamped=abs(result.reward) > REWARD_BOUND,
        decision=result.decision,
    )


def _lost(error: ServiceError) -> str:
    said = error.message.rstrip(".")
    if isinstance(error, ServiceRefused):
        return (
            f"the reward service refused a batch: {said}. Check that it serves the states "
            "of this dataset"
        )
    return f"the reward service was lost: {said}. Start it again"
