"""Scores the completions of a generation batch: once, for every reward function.

Owns the one call to the reward service a batch and what becomes of each completion. How a run
counts that and when it gives up is :mod:`trainer.tally`; what a text's form is worth is
:mod:`trainer.rewards`.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.completions import parse_completion
from shared.decisions import Decision, DecisionKind, Extend, Plan
from shared.errors import InvalidDecision, ServiceError, ServiceRefused
from shared.rewards import RewardSpec
from shared.scoring import ScoreItem, ScoreResponse, ScoreResult, Status
from trainer.tally import Tally

__all__ = ["REWARD_BOUND", "BatchScorer", "Completions", "Scored", "Scorer", "ScoringTerms"]

REWARD_BOUND = 1e4
"""Rewards are clamped to plus or minus this: one wild number would destroy the weights."""

_DEFAULT_EXTEND_S = int(Extend.model_fields["extend_s"].default)


class Scorer(Protocol):
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
    extend_s: int = _DEFAULT_EXTEND_S
    """Seconds that a *yes* without seconds of its own adds."""


@dataclass(frozen=True)
class Completions:
    """A batch as TRL hands it over: texts and columns of their rows; not always whole groups."""

    texts: Sequence[str]
    state_ids: Sequence[str]
    tls_ids: Sequence[str]
    kinds: Sequence[DecisionKind]

    def items(self, extend_s: int) -> list[ScoreItem]:
        """The completions as the service is asked about them."""
        rows = zip(self.texts, self.state_ids, self.tls_ids, self.kinds, strict=True)
        return [_item(text, state, tls, kind, extend_s) for text, state, tls, kind in rows]


@dataclass(frozen=True)
class Scored:
    """What became of one completion."""

    status: Status
    reward: float | None
    """None exactly where the status is ``failed``."""
    code: str | None = None
    """Why it is invalid or failed."""
    is_cached: bool = False
    is_yes: bool | None = None
    """Whether the decision was to extend; None where none could be read, or of another kind."""


class BatchScorer:
    """Scores each batch once, however many reward functions ask for it.

    The client is made at the first batch, on the loop that TRL runs reward functions on, because
    connections belong to the loop they were made in.

    Args:
        connect: Makes the client.
        terms: What is asked of the service.
        tally: Where outcomes are counted; its stop flag is set when the service is lost.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Scorer],
        terms: ScoringTerms,
        tally: Tally,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = tally
        self._connect = connect
        self._terms = terms
        self._clock = clock
        self.client: Scorer | None = None
        self._key: object = None
        self._task: Awaitable[list[Scored]] | None = None

    async def scored(self, key: object, batch: Completions) -> list[Scored]:
        """The outcomes of a batch, in its order. Never raises for a service that is gone.

        Args:
            key: The object that identifies the batch: all who pass the same one share one call.
            batch: What to score.
        """
        if self._task is None or self._key is not key:
            self._key = key
            self._task = asyncio.ensure_future(self._score(batch))
        return await self._task

    async def _score(self, batch: Completions) -> list[Scored]:
        began = self._clock()
        if self.client is None:
            self.client = self._connect()
        rollouts = 0
        try:
            response = await self.client.score(
                batch.items(self._terms.extend_s), self._terms.reward, self._terms.timeout_s
            )
        except ServiceError as exc:
            self.tally.stop.set(_lost(exc))
            scored = [Scored("failed", None, exc.code)] * len(batch.texts)
        else:
            scored = [_scored(result) for result in response.results]
            rollouts = response.counts.rollouts
        self.tally.service_answered(self._clock() - began, rollouts)
        return scored


def _item(text: str, state_id: str, tls_id: str, kind: DecisionKind, extend_s: int) -> ScoreItem:
    """One completion as an item; as a decision only where it lacks seconds that are not default."""
    if extend_s != _DEFAULT_EXTEND_S:
        try:
            decision = _with_seconds(parse_completion(text, kind), extend_s)
        except InvalidDecision:
            pass  # the service says what is wrong with it
        else:
            return ScoreItem(state_id=state_id, tls_id=tls_id, decision=decision)
    return ScoreItem(state_id=state_id, tls_id=tls_id, decision_kind=kind, completion=text)


def _with_seconds(decision: Decision, extend_s: int) -> Decision:
    """The decision with other seconds, where it has some and they are those of a silent text."""
    if isinstance(decision, Extend | Plan) and decision.extend_s == _DEFAULT_EXTEND_S:
        return decision.model_copy(update={"extend_s": extend_s})
    return decision


def _scored(result: ScoreResult) -> Scored:
    decision = result.decision
    code = result.error.code if result.error else None
    if result.reward is None or not math.isfinite(result.reward):
        return Scored("failed", None, code or "no_reward")
    return Scored(
        status=result.status,
        reward=max(-REWARD_BOUND, min(REWARD_BOUND, result.reward)),
        code=code,
        is_cached=result.cached,
        is_yes=decision.extend if isinstance(decision, Extend) else None,
    )


def _lost(error: ServiceError) -> str:
    if isinstance(error, ServiceRefused):
        return (
            f"the reward service refused a batch: {error.message}. Check that it serves the states "
            "of this dataset, then go on with resume_from_checkpoint: latest"
        )
    return (
        f"the reward service was lost: {error.message}. Start it again, then go on with "
        "resume_from_checkpoint: latest"
    )
