"""The messages of ``POST /v1/score``."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from shared.completions import MAX_COMPLETION_CHARS
from shared.decisions import Decision, DecisionKind
from shared.errors import ErrorInfo
from shared.model import WireModel
from shared.rewards import Metrics, RewardSpec
from shared.states import Restore, Simulator

__all__ = ["Counts", "ScoreItem", "ScoreRequest", "ScoreResponse", "ScoreResult", "Status"]

Status = Literal["scored", "invalid", "failed"]


class ScoreItem(WireModel):
    """One candidate: a decision as JSON, or a completion that holds one."""

    id: str | int | None = None
    """Anything of the caller's; comes back unchanged."""
    state_id: str = Field(max_length=200)
    tls_id: str = Field(max_length=200)
    decision: Decision | None = None
    decision_kind: DecisionKind | None = None
    """What the completion should hold. Needed with ``completion``."""
    completion: str | None = Field(default=None, max_length=16 * MAX_COMPLETION_CHARS)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        if (self.decision is None) == (self.completion is None):
            raise ValueError("give either a decision or a completion")
        if self.completion is not None and self.decision_kind is None:
            raise ValueError("a completion needs its decision_kind")
        if self.decision is not None and self.decision_kind not in (None, self.decision.kind):
            raise ValueError("decision_kind differs from the kind of the decision")
        return self


class ScoreRequest(WireModel):
    """A batch of candidates under one reward."""

    items: tuple[ScoreItem, ...] = Field(min_length=1)
    reward: RewardSpec = RewardSpec()
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds after which what is not done is answered as failed."""
    series: bool = False
    """Whether the metrics hold the queue after each second."""


class ScoreResult(WireModel):
    """What became of one item. A reward that could not be computed is null, never a number."""

    id: str | int | None
    status: Status
    reward: float | None
    decision: Decision | None = None
    """The decision as it was understood; null where none could be read."""
    metrics: Metrics | None = None
    cached: bool = False
    """Whether every rollout behind the reward was known before this request."""
    restore: Restore | None = None
    error: ErrorInfo | None = None


class Counts(WireModel):
    """A summary of the results."""

    scored: int
    invalid: int
    failed: int
    cached: int
    rollouts: int
    """Rollouts that this request started, references included."""

    @classmethod
    def of(cls, results: Sequence[ScoreResult], rollouts: int) -> Self:
        """Counts results by what became of them."""
        statuses = [result.status for result in results]
        return cls(
            scored=statuses.count("scored"),
            invalid=statuses.count("invalid"),
            failed=statuses.count("failed"),
            cached=sum(result.cached for result in results),
            rollouts=rollouts,
        )


class ScoreResponse(WireModel):
    """Results in the order of the items."""

    results: tuple[ScoreResult, ...]
    counts: Counts
    simulator: Simulator
