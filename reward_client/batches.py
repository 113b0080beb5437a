"""Splits a batch into requests and merges the responses. Sends nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import ServiceError
from shared.rewards import AnyMetricName, RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, Item, ScoreResponse, ScoreResult
from shared.wire.states import Simulator

__all__ = ["Answers", "Terms", "chunked", "merged"]


@dataclass(frozen=True)
class Terms:
    """The terms for all items of a batch."""

    reward: RewardSpec
    timeout_s: float
    series: bool
    metrics: tuple[AnyMetricName, ...] | None = None


@dataclass
class Answers:
    """The results so far for one chunk of a batch."""

    items: Sequence[Item]
    results: dict[int, ScoreResult]
    """By position in ``items``."""
    open: list[int]
    """Positions that still have to be sent, or sent again."""
    rollouts: int = 0
    simulator: Simulator | None = None
    """None until the first response."""
    error: ServiceError | None = None
    """Why the open positions were abandoned."""

    @classmethod
    def waiting_for(cls, items: Sequence[Item]) -> "Answers":
        """No answers yet: every item is open."""
        return cls(items, {}, list(range(len(items))))

    def open_items(self) -> list[Item]:
        """The items at the open positions."""
        return [self.items[position] for position in self.open]

    def take(self, response: ScoreResponse) -> None:
        """Stores the results of the open items; retryable failures stay open."""
        for position, result in zip(self.open, response.results, strict=True):
            self.results[position] = result
        self.rollouts += response.counts.rollouts
        self.simulator = response.simulator
        self.open = [position for position in self.open if _is_retryable(self.results[position])]

    def give_up(self, error: ServiceError) -> None:
        """Marks items without a result as failed; the others keep their own error."""
        self.error = error
        for position in self.open:
            unanswered = ScoreResult(
                id=self.items[position].id, status="failed", reward=None, error=ErrorInfo.of(error)
            )
            self.results.setdefault(position, unanswered)


def chunked(items: Sequence[Item], size: int, max_bytes: int | None = None) -> list[Sequence[Item]]:
    """Chunks of at most ``size`` items, in order; consecutive items of a group stay together.

    Args:
        items: The items to split.
        size: Maximum number of items per chunk.
        max_bytes: Maximum JSON size per chunk, unless it is a single item; None sets no limit.
    """
    sizes = None if max_bytes is None else [_bytes(item) for item in items]
    chunks, start = [], 0
    while start < len(items):
        end = start + size
        if sizes is not None and max_bytes is not None:
            end = _end_within(sizes, start, end, max_bytes)
        end = _cut(items, start, end)
        chunks.append(items[start:end])
        start = end
    return chunks


def _bytes(item: Item) -> int:
    return len(item.model_dump_json(exclude_none=True).encode()) + 1


def _end_within(sizes: Sequence[int], start: int, end: int, max_bytes: int) -> int:
    """The end of the longest chunk from ``start`` within the size limit; at least one item."""
    total = 0
    for position in range(start, min(end, len(sizes))):
        total += sizes[position]
        if total > max_bytes and position > start:
            return position
    return end


def merged(chunks: Sequence[Answers]) -> ScoreResponse:
    """Merges the responses for all chunks of a batch, in order.

    Raises:
        ServiceError: No chunk was answered.
    """
    simulator = next((chunk.simulator for chunk in chunks if chunk.simulator), None)
    if simulator is None:
        raise next(chunk.error for chunk in chunks if chunk.error)
    results = tuple(c.results[i] for c in chunks for i in range(len(c.items)))
    return ScoreResponse(
        results=results,
        counts=Counts.of(results, sum(chunk.rollouts for chunk in chunks)),
        simulator=simulator,
    )


def _is_retryable(result: ScoreResult) -> bool:
    return result.status == "failed" and result.error is not None and result.error.retryable


def _cut(items: Sequence[Item], start: int, end: int) -> int:
    """Where to split between ``start`` and ``end``: between two groups, if possible."""
    if end >= len(items):
        return len(items)
    between = end
    while between > start and _is_one_group(items[between - 1], items[between]):
        between -= 1
    return between if between > start else end


def _is_one_group(one: Item, other: Item) -> bool:
    return one.group_id is not None and one.group_id == other.group_id
