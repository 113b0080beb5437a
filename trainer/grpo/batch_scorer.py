"""Scores the completions of a generation batch: once, for every reward function.

Owns the call to the reward service per batch and its results. :mod:`trainer.runs.run_stats` counts
them and decides when a run gives up; :mod:`trainer.grpo.reward_functions` scores the format.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from reward_client import RetryPolicy
from shared.decisions import Decision, Extend
from shared.errors import ServiceError, ServiceRefused, ServiceUnreachable
from shared.language.completion_items import DEFAULT_EXTEND_S, Situation, sendable
from shared.rewards import DomainMetrics, RewardSpec
from shared.wire.scoring import DomainItem, Item, ScoreItem, ScoreResponse, ScoreResult, Status
from trainer.data.rows import AskedKind
from trainer.grpo.reward_shaping import as_the_worst, shuffled
from trainer.runs.run_stats import RunStats, group_numbers

__all__ = ["REWARD_BOUND", "BatchScorer", "Completions", "ScoredBatch", "ScoringTerms", "patience"]

REWARD_BOUND = 1e6
"""Rewards are clamped to plus or minus this: a single extreme value would destroy the weights. A
thousand vehicles waiting a thousand seconds each are within it, and decisions that differ by a
tenth remain distinguishable in the float32 of the advantages."""

IMPATIENT = RetryPolicy(retries=0)
"""No retries."""

log = structlog.get_logger(__name__)


def patience(outage_s: float) -> RetryPolicy:
    """The retry policy for a service that does not answer.

    Args:
        outage_s: Seconds after which to give up.
    """
    return RetryPolicy(retries=1_000_000, base_s=0.5, cap_s=10.0, total_s=outage_s)


class CompletionScorer(Protocol):
    """The part of :class:`reward_client.RewardClient` that is used here."""

    async def score(
        self, items: Sequence[Item], reward: RewardSpec, timeout_s: float = ...
    ) -> ScoreResponse:
        """Scores items, in order."""


@dataclass(frozen=True)
class ScoringTerms:
    """The terms of the service requests for all completions."""

    reward: RewardSpec
    timeout_s: float
    extend_s: int = DEFAULT_EXTEND_S
    """Seconds that a *yes* adds if it does not say."""
    group_size: int | None = None
    """Completions per prompt; None treats all of one prompt in a batch as one group."""
    run: str = "run"
    """Makes the group ids of this run unique."""
    deal_seed: Callable[[], str] | None = None
    """Returns a seed per batch for shuffling the rewards within groups
    (:mod:`trainer.grpo.reward_shaping`); None does not shuffle."""
    is_invalid_worst: bool = False
    """Whether an invalid answer gets the worst valid reward of its group or batch, see
    :mod:`trainer.grpo.reward_shaping`."""


@dataclass(frozen=True)
class Completions:
    """A batch from TRL: texts and columns of their rows; groups may be incomplete."""

    texts: Sequence[str]
    state_ids: Sequence[str]
    tls_ids: Sequence[str]
    kinds: Sequence[AskedKind]
    opened: str = ""
    """The tag of a reasoning block that the chat template opens before each text. The service needs
    it: otherwise truncated reasoning looks like an answer."""

    def groups(self, terms: ScoringTerms) -> list[int]:
        """Which group each completion belongs to."""
        keys = list(zip(self.state_ids, self.tls_ids, self.kinds, strict=True))
        return group_numbers(keys, terms.group_size or len(keys))

    def items(self, terms: ScoringTerms, batch: int) -> list[Item]:
        """The completions as items of a request.

        Args:
            terms: The terms of the request.
            batch: The number of the generation batch, for the group ids.
        """
        rows = zip(self.texts, self.state_ids, self.tls_ids, self.kinds, strict=True)
        groups = self.groups(terms)
        return [
            _item(self.opened + text, state, tls, kind, terms, f"{terms.run}/{batch}/{group}")
            for (text, state, tls, kind), group in zip(rows, groups, strict=True)
        ]


def _item(
    text: str, state: str, tls: str, kind: AskedKind, terms: ScoringTerms, group: str
) -> Item:
    """A completion as it is sent; of another domain, the problem stands in the state's place."""
    if kind == "solve":
        return DomainItem(domain=tls, problem_id=state, completion=sendable(text), group_id=group)
    place = Situation(state_id=state, tls_id=tls, decision_kind=kind)
    return place.item(text, terms.extend_s, group)


@dataclass(frozen=True)
class ScoredBatch:
    """The result of one completion."""

    status: Status
    reward: float | None
    """None exactly where the status is ``failed``."""
    code: str | None = None
    """Why it is invalid or failed."""
    is_cached: bool = False
    is_clamped: bool = False
    """Whether the reward exceeded the bound."""
    decision: Decision | None = None
    """The decision; None without a legal one."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Of an answer in another domain than traffic, by name; empty without any."""

    @property
    def is_yes(self) -> bool | None:
        """Whether the decision was to extend; None without an *extend* decision."""
        return self.decision.extend if isinstance(self.decision, Extend) else None


class BatchScorer:
    """Scores each batch once for all reward functions.

    The client is created with the first batch, on the loop on which TRL runs reward functions,
    because connections belong to the loop in which they were created.

    Args:
        connect: Creates the client.
        terms: The terms of the requests.
        stats: The statistics to update; the stop flag is set if the service is lost.
        patience: How long to wait for an unavailable service.
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
        """What the chat template opens before each completion; set once the model is loaded."""
        self.watch: Callable[[Completions, Sequence[ScoredBatch]], None] | None = None
        """Told of every batch that was scored."""
        self._batches = 0
        self._key: object = None
        self._task: Awaitable[list[ScoredBatch]] | None = None

    async def scored(self, key: object, batch: Completions) -> list[ScoredBatch]:
        """The results of a batch, in order. Never raises if the service is lost.

        Args:
            key: Identifies the batch: callers with the same object share one request.
            batch: What to score.
        """
        if self._task is None or self._key is not key:
            self._key = key
            self._batches += 1
            self._task = asyncio.ensure_future(self._score(batch))
        return await self._task

    async def look_ahead(self, points: Sequence[tuple[str, str]]) -> None:
        """Simulates both *extend* decisions in upcoming states; fails silently.

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
            if self.watch is not None:
                self.watch(batch, scored)
        self.stats.service_answered(self._clock() - began, rollouts)
        return scored

    async def _answer(self, items: Sequence[Item]) -> ScoreResponse:
        """The response for a batch; waits here while the service does not answer."""
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
                log.info("the reward service answers again; the training continues")
            return response

    def _paused(self, attempt: int, error: ServiceUnreachable) -> None:
        """Logs once per outage that the training waits."""
        if attempt == 0:
            self.stats.outages += 1
            log.warning(
                "the training pauses: the reward service does not answer",
                reason=error.message,
                give_up_after_s=self._patience.total_s,
            )

    def _settled(self, batch: Completions, scored: list[ScoredBatch]) -> list[ScoredBatch]:
        """The results with ``invalid_as_worst`` and ``shuffle_rewards`` applied."""
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
        metrics=result.metrics.root if isinstance(result.metrics, DomainMetrics) else {},
    )


def _lost(error: ServiceError) -> str:
    said = error.message.rstrip(".")
    if isinstance(error, ServiceRefused):
        return (
            f"the reward service rejected a batch: {said}. Check that it serves the states "
            "of this dataset"
        )
    return f"the reward service was lost: {said}. Start it again"
