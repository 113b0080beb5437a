"""Offline decisions: a file with one item per line, scored batch by batch.

An invalid line, or one with an unknown state or signal, fails on its own: results correspond to
lines one to one.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from reward_client.batches import Terms
from reward_client.client import RewardClient
from shared.errors import GreenforkError, MalformedRequest, ServiceRefused, ServiceUnreachable
from shared.validation import request_error
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import DomainItem, Item, ScoreResult, read_item

__all__ = ["OF_ONE_ITEM", "Batch", "Line", "LineScorer", "read_lines"]

OF_ONE_ITEM = frozenset(
    {
        "body_too_large",
        "invalid_request",
        "too_many_items",
        "unknown_decision_kind",
        "unknown_domain",
        "unknown_problem",
        "unknown_signal",
        "unknown_state",
    }
)
"""Errors of a whole request that may concern only some of its items."""

_TOO_BUSY = frozenset({"deadline_exceeded", "overloaded"})
"""Errors of a running service that did not process the items in time."""


@dataclass(frozen=True)
class Line:
    """One line of the file."""

    number: int
    """From 1."""
    item: Item | None
    error: ErrorInfo | None
    """Why it is not a valid item."""


@dataclass(frozen=True)
class Batch:
    """Some lines and their results."""

    lines: Sequence[Line]
    results: Sequence[ScoreResult]
    """One per line."""
    rollouts: int


def read_lines(texts: Iterable[bytes], size: int) -> Iterator[list[Line]]:
    """Lists of at most ``size`` lines, read lazily."""
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        lines.append(_read_line(number, text))
        if len(lines) == size:
            yield lines
            lines = []
    if lines:
        yield lines


class LineScorer:
    """Scores lines, and remembers states and signals that are unknown to the service.

    Args:
        client: A client of the service.
        terms: The terms for all items.
    """

    def __init__(self, client: RewardClient, terms: Terms) -> None:
        self._client = client
        self._terms = terms
        self._unknown: dict[tuple[str, ...], ErrorInfo] = {}

    async def score(self, batches: Iterable[Sequence[Line]]) -> AsyncIterator[Batch]:
        """Scores one batch after the other.

        Raises:
            ServiceUnreachable: The service does not answer.
            ServiceRefused: The service rejects the terms or the API key.
        """
        for lines in batches:
            items = [line.item for line in lines if line.item is not None]
            results, rollouts = await self._score(items)
            remaining = iter(results)
            merged = [_failed(None, ln.error) if ln.error else next(remaining) for ln in lines]
            yield Batch(lines, merged, rollouts)

    async def _score(self, items: Sequence[Item]) -> tuple[list[ScoreResult], int]:
        """Scores items, in halves if the service rejects them together."""
        known = [(item, self._known_error(item)) for item in items]
        open_items = [item for item, error in known if error is None]
        scored, rollouts = await self._ask(open_items) if open_items else ([], 0)
        remaining = iter(scored)
        return [
            _failed(item, error) if error else next(remaining) for item, error in known
        ], rollouts

    async def _ask(self, items: Sequence[Item]) -> tuple[list[ScoreResult], int]:
        terms = self._terms
        try:
            response = await self._client.score(
                items, terms.reward, terms.timeout_s, terms.series, terms.metrics
            )
        except ServiceUnreachable as exc:
            if exc.code not in _TOO_BUSY:
                raise
            return [_failed(item, ErrorInfo.of(exc)) for item in items], 0
        except ServiceRefused as exc:
            if exc.code not in OF_ONE_ITEM:
                raise
            refusal = ErrorInfo.of(exc)
        else:
            return list(response.results), response.counts.rollouts
        if len(items) == 1:
            self._remember(items[0], refusal)
            return [_failed(items[0], refusal)], 0
        middle = len(items) // 2
        first, some = await self._score(items[:middle])
        second, more = await self._score(items[middle:])
        return first + second, some + more

    def _remember(self, item: Item, error: ErrorInfo) -> None:
        whole, place = _names(item)
        if error.code in ("unknown_state", "unknown_domain"):
            self._unknown[whole] = error
        elif error.code in ("unknown_signal", "unknown_problem"):
            self._unknown[place] = error

    def _known_error(self, item: Item) -> ErrorInfo | None:
        whole, place = _names(item)
        return self._unknown.get(whole) or self._unknown.get(place)


def _names(item: Item) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an item names: its state, or its domain; and with what lies in that."""
    if isinstance(item, DomainItem):
        return ("", item.domain), ("", item.domain, item.problem_id)
    return (item.state_id,), (item.state_id, *item.tls_ids())


def _read_line(number: int, text: bytes) -> Line:
    text = text.strip()
    if not text:
        return _bad_line(number, MalformedRequest("the line is empty"))
    try:
        return Line(number, read_item(text), None)
    except ValidationError as exc:
        return _bad_line(number, request_error(exc.errors()))


def _bad_line(number: int, error: GreenforkError) -> Line:
    return Line(number, None, ErrorInfo.of(error))


def _failed(item: Item | None, error: ErrorInfo | None) -> ScoreResult:
    return ScoreResult(id=item.id if item else None, status="failed", reward=None, error=error)
