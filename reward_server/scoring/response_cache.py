"""Serialised results, and the in-memory cache of them.

A result is written as JSON once. If it is asked for again, by whatever request, the answer is the
same text, with only the caller's own ``id`` put in front.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Self

from pydantic_core import to_json

from shared.wire.scoring import DomainItem, Item, ScoreRequest, ScoreResult, Status

__all__ = ["Answer", "AnswerKey", "ResponseCache", "answer_key", "domain_of", "terms_of"]

AnswerKey = tuple[Hashable, ...]

_NO_ID = b'{"id":null,'
_FRESH, _CACHED = b'"cached":false', b'"cached":true'
_ENTRY_BYTES = 600
"""Bytes of an entry besides its text: the key's tuple, the decision, the dictionary's slots."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one item, whoever asked for it."""

    text: bytes
    """The result as JSON, after its id."""
    status: Status
    code: str
    """Code of the error; empty if there is none."""
    is_retryable: bool
    """Whether it can help to send the item again."""
    reward: float | None
    cached: bool

    @classmethod
    def of(cls, result: ScoreResult) -> Self:
        """The answer made from a result."""
        anonymous = result if result.id is None else result.model_copy(update={"id": None})
        text = anonymous.model_dump_json().encode()
        return cls(
            text=text[len(_NO_ID) :],
            status=result.status,
            code=result.error.code if result.error else "",
            is_retryable=result.error is not None and result.error.retryable,
            reward=result.reward,
            cached=result.cached,
        )

    def known(self) -> Self:
        """The same answer for a repeated request: a scored item is then marked as cached."""
        if self.status != "scored" or self.cached:
            return self
        return replace(self, text=self.text.replace(_FRESH, _CACHED, 1), cached=True)

    def json(self, item_id: str | int | None) -> bytes:
        """The result of an item, byte for byte as :class:`ScoreResult` would be serialised."""
        if item_id is None:
            return _NO_ID + self.text
        return b'{"id":' + to_json(item_id) + b"," + self.text

    def result(self, item_id: str | int | None) -> ScoreResult:
        """The result of an item."""
        return ScoreResult.model_validate_json(self.json(item_id))


class ResponseCache:
    """LRU cache of serialised results; evicted outcomes are still in the ledger.

    Args:
        max_bytes: Approximate memory limit; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._answers: OrderedDict[AnswerKey, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size_bytes(self) -> int:
        """Approximate memory in use."""
        return self._bytes

    def get(self, key: AnswerKey) -> Answer | None:
        """The answer, if it is cached."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def clear(self) -> None:
        """Forgets every answer."""
        self._answers.clear()
        self._bytes = 0

    def put(self, key: AnswerKey, answer: Answer, is_seldom_asked: bool = False) -> None:
        """Caches an answer; the least recently used ones are evicted.

        Args:
            key: The key under which to find it.
            answer: The answer.
            is_seldom_asked: Whether to evict it before all others if there is no room.
        """
        known = self._answers.pop(key, None)
        if known is not None:
            self._bytes -= _size(key, known)
        self._answers[key] = answer
        if is_seldom_asked:
            self._answers.move_to_end(key, last=False)
        self._bytes += _size(key, answer)
        while self._bytes > self._max_bytes:
            oldest, dropped = self._answers.popitem(last=False)
            self._bytes -= _size(oldest, dropped)


def terms_of(request: ScoreRequest) -> str:
    """Everything shared by a request's items on which their answers depend."""
    names = sorted({*(request.metrics or ())})
    terms = f"{request.reward.model_dump_json()} {request.series} {','.join(names)}"
    is_named = "name" in request.reward.model_fields_set
    has_others = any(isinstance(item, DomainItem) for item in request.items)
    return f"{terms} {is_named}" if has_others else terms  # else each domain's default


def domain_of(item: Item) -> str:
    """The name of an item's domain."""
    return item.domain if isinstance(item, DomainItem) else "traffic"


def answer_key(terms: str, item: Item) -> AnswerKey:
    """A key that is equal for items with equal answers, given the terms from :func:`terms_of`."""
    if isinstance(item, DomainItem):
        return (terms, item.domain, item.problem_id, item.completion)
    if item.completion is not None:
        return (terms, item.state_id, item.tls_id, item.decision_kind, item.completion)
    if item.decisions is not None:
        decided = [(to_json(t).decode(), item.decisions[t]) for t in item.tls_ids()]
        texts = [f"{tls_id}:{decision.model_dump_json()}" for tls_id, decision in decided]
        return (terms, item.state_id, ",".join(texts))
    assert item.decision is not None, "the schema asks for one of the three"  # noqa: S101
    # As text, because Python computes its hash only once: a plan may have 240 steps.
    return (terms, item.state_id, item.tls_id, item.decision.model_dump_json())


def _size(key: AnswerKey, answer: Answer) -> int:
    text = key[-1] if isinstance(key[-1], str) else ""
    return _ENTRY_BYTES + len(text) * 4 + len(answer.text)
