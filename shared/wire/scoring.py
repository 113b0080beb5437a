"""The messages of ``POST /v1/score``."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Discriminator, FailFast, Field, Tag, model_validator

from shared.decisions import Decision, DecisionKind
from shared.language.completions import MAX_SENT_CHARS
from shared.language.surrogates import (
    CompletionsModel,
    CompletionText,
    mark_half_pairs_in_json,
)
from shared.model import WireModel
from shared.rewards import AnyMetricName, AnyMetrics, RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.states import Fidelity, Restore, Simulator
from shared.wire.viewing.traces import ShownTrace

__all__ = [
    "Counts",
    "DomainItem",
    "DomainName",
    "GroupId",
    "Item",
    "ItemId",
    "ProblemId",
    "ScoreItem",
    "ScoreRequest",
    "ScoreResponse",
    "ScoreResult",
    "SeedReward",
    "StateId",
    "Status",
    "TlsId",
    "read_item",
]

Status = Literal["scored", "invalid", "failed"]
StateId = Annotated[str, Field(max_length=200)]
TlsId = Annotated[str, Field(max_length=200)]
DomainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ProblemId = Annotated[str, Field(min_length=1, max_length=200)]
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
ItemId = Annotated[str, Field(max_length=200)] | _Integer
GroupId = Annotated[str, Field(max_length=200)] | _Integer
_MAX_SIGNALS = 64


class ScoreItem(CompletionsModel):
    """One candidate: a decision as JSON, a completion that holds one, or decisions at signals."""

    id: ItemId | None = None
    """Anything of the caller's, up to 200 characters; comes back unchanged."""
    group_id: GroupId | None = None
    """Equal for items that a trainer compares with each other: completions of one prompt."""
    state_id: StateId
    tls_id: TlsId | None = None
    """The signal of the decision or the completion; omitted with ``decisions``."""
    decision: Decision | None = None
    decision_kind: DecisionKind | None = None
    """What the completion should hold. Needed with ``completion``."""
    completion: CompletionText | None = Field(default=None, max_length=MAX_SENT_CHARS)
    decisions: dict[TlsId, Decision] | None = Field(
        default=None, min_length=1, max_length=_MAX_SIGNALS
    )
    """Decisions at several signals at once, by signal. The metrics are then those of all of their
    incoming lanes together."""

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        ways = (self.decision, self.completion, self.decisions)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("specify exactly one of decision, completion and decisions")
        if self.decisions is not None:
            if self.tls_id is not None:
                raise ValueError("tls_id is not allowed with decisions, which name their signals")
            if self.decision_kind is not None:
                raise ValueError(
                    "decision_kind is not allowed with decisions, which name their kinds"
                )
        elif self.tls_id is None:
            raise ValueError("a decision or a completion needs a tls_id")
        if self.completion is not None and self.decision_kind is None:
            raise ValueError("a completion needs a decision_kind")
        if self.decision is not None and self.decision_kind not in (None, self.decision.kind):
            raise ValueError("decision_kind differs from the kind of the decision")
        return self

    def tls_ids(self) -> tuple[str, ...]:
        """The decided signals, in the order of their ids."""
        return tuple(sorted(self.decisions or {})) if self.tls_id is None else (self.tls_id,)


class DomainItem(CompletionsModel):
    """A candidate of another domain than traffic: a completion that answers one of its problems."""

    id: ItemId | None = None
    """As of a :class:`ScoreItem`."""
    group_id: GroupId | None = None
    """As of a :class:`ScoreItem`."""
    domain: DomainName
    """``planning``, or the name of a domain that an installed package adds."""
    problem_id: ProblemId
    completion: CompletionText = Field(max_length=MAX_SENT_CHARS)


_TRAFFIC, _OTHER = "item:traffic", "item:domain"


def _item_kind(value: Any) -> str:  # noqa: ANN401 - whatever was sent
    """Items that say no domain are of traffic."""
    if isinstance(value, Mapping):
        return _OTHER if "domain" in value else _TRAFFIC
    return _OTHER if isinstance(value, DomainItem) else _TRAFFIC


Item = Annotated[
    Annotated[ScoreItem, Tag(_TRAFFIC)] | Annotated[DomainItem, Tag(_OTHER)],
    Discriminator(_item_kind),
]
"""Any candidate."""


def read_item(text: bytes) -> ScoreItem | DomainItem:
    """An item out of its JSON, of whatever domain.

    Raises:
        ValidationError: It is none.

    >>> read_item(b'{"domain":"planning","problem_id":"p","completion":"(a)"}').domain
    'planning'
    """
    if b'"domain"' in text:  # which may also stand in a completion
        try:
            said = json.loads(mark_half_pairs_in_json(text))
        except (ValueError, RecursionError):  # what is wrong with it is said below
            said = None
        if isinstance(said, dict) and "domain" in said:
            return DomainItem.model_validate_json(text)
    return ScoreItem.model_validate_json(text)


class ScoreRequest(CompletionsModel):
    """A batch of candidates under one reward."""

    items: Annotated[tuple[Item, ...], FailFast()] = Field(min_length=1)
    reward: RewardSpec = RewardSpec()
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds after which what is not done is answered as failed."""
    series: bool = False
    """Whether the metrics hold the queue after each second."""
    metrics: tuple[AnyMetricName, ...] | None = Field(default=None, min_length=1)
    """Only these are in the results' ``metrics``; None: all, and of users' own metrics those that
    the reward is made of. Rewards do not depend on it. Those of other domains than traffic are
    always shown."""
    trace: bool = False
    """Whether the results tell where everything was in each second. Each such rollout is made
    again, and must show what is on record; at most 16 items, and 1,200 s together."""

    @property
    def of_traffic(self) -> tuple[ScoreItem, ...]:
        """The items of traffic, in order."""
        return tuple(item for item in self.items if isinstance(item, ScoreItem))


class SeedReward(WireModel):
    """The reward under one seed."""

    seed: int
    reward: float


class ScoreResult(WireModel):
    """What became of one item. A reward that could not be computed is null, never a number."""

    id: str | int | None
    status: Status
    reward: float | None
    """Where the reward has seeds, the mean over them."""
    reward_stderr: float | None = None
    """Standard error of that mean, ``s / sqrt(n)``; null but for two and more seeds."""
    seeds: tuple[SeedReward, ...] | None = None
    """The reward under each seed, in the order asked for; null where none were asked for."""
    decision: Decision | None = None
    """The decision as it was understood; null where none could be read, or with ``decisions``."""
    decisions: dict[str, Decision] | None = None
    """The decisions by signal, where the item held such."""
    metrics: AnyMetrics | None = None
    """Where the reward has seeds, the means over them; only the named ones, where some were."""
    cached: bool = False
    """Whether every rollout behind the reward was known before this request."""
    restore: Restore | None = None
    fidelity: Fidelity | None = None
    """Whether it was computed in the user's own simulation; null where nothing was computed."""
    error: ErrorInfo | None = None
    trace: ShownTrace = None
    """What was to be seen, where it was asked for and the item was scored; else left out."""


class _Counted(Protocol):
    @property
    def status(self) -> Status: ...

    @property
    def cached(self) -> bool: ...


class Counts(WireModel):
    """A summary of the results."""

    scored: int
    invalid: int
    failed: int
    cached: int
    rollouts: int
    """Rollouts that this request started, references included."""

    @classmethod
    def of(cls, results: Sequence[_Counted], rollouts: int) -> Self:
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
