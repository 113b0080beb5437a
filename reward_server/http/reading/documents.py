"""What a body says, in every form in which decisions come over HTTP. Knows nothing of processes.

Reading a body occupies the interpreter from beginning to end, and a body designed for it can take
gigabytes. :func:`is_light` says what may be read on the event loop; the rest is read by
:mod:`reward_server.http.reading.process`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from reward_server.http.compat.nemo_gym import VerifyRequest
from reward_server.http.compat.openrlhf import OpenRLHFRequest
from reward_server.http.compat.slime import SlimeRequest
from shared.errors import InvalidRequest
from shared.validation import validation_error
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, ScoreRequest

__all__ = [
    "CHUNK_BYTES",
    "Document",
    "Form",
    "is_light",
    "items_in_chunks",
    "load_of",
    "read_chunk",
    "read_document",
    "read_model",
    "refuse_too_many",
]

Form = Literal["score", "job", "openrlhf", "slime", "nemo_gym"]

CHUNK_BYTES = 2**17
"""Size of the items that are read at once; a longer item is a chunk of its own."""
_LIGHT_BYTES = 4 * 2**20
_LIGHT_MARKS = 16_000
"""Number of commas, colons and opening brackets, which bounds the number of values in a document.
This many are validated in a few milliseconds, and their errors reported in as few."""

_Model = TypeVar("_Model", bound=BaseModel)
_ITEMS: TypeAdapter[tuple[Item, ...]] = TypeAdapter(tuple[Item, ...])


@dataclass(frozen=True)
class Document:
    """What a body says."""

    items: Sequence[Item]
    terms: ScoreRequest | None = None
    """The whole request, if the body contains its terms."""
    echo: bytes = b""
    """What must be returned unchanged, as a JSON object."""

    def batch(self) -> ScoreRequest:
        """The whole request, for forms that contain its terms: ``score``, ``job``."""
        assert self.terms is not None, "a batch says its terms"  # noqa: S101
        return self.terms


def is_light(body: bytes) -> bool:
    """Whether reading a body takes no more than a few milliseconds, whatever is in it.

    >>> is_light(b'{"items": []}'), is_light(b"[" * 100_000)
    (True, False)
    """
    if len(body) > _LIGHT_BYTES:
        return False
    return sum(body.count(mark) for mark in (b",", b":", b"{", b"[")) <= _LIGHT_MARKS


def read_model(model: type[_Model], body: bytes) -> _Model:
    """Reads a message from its JSON.

    Raises:
        MalformedRequest: It is not JSON.
        InvalidRequest: It is not such a message.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise validation_error(exc) from None


def read_document(form: Form, body: bytes, extend_s: int, max_items: int) -> Document:
    """The items in a body.

    Args:
        form: The protocol.
        body: The JSON.
        extend_s: Seconds that a *yes* without seconds of its own adds.
        max_items: Maximum number of items.

    Raises:
        MalformedRequest: It is not JSON.
        InvalidRequest: It is not such a request, or ``too_many_items``.
    """
    match form:
        case "score" | "job":
            batch = read_model(ScoreRequest, body)
            document = Document(batch.items, batch)
        case "openrlhf":
            document = Document(read_model(OpenRLHFRequest, body).items(extend_s))
        case "slime":
            document = Document([read_model(SlimeRequest, body).item(extend_s)])
        case "nemo_gym":
            request = read_model(VerifyRequest, body)
            document = Document([request.item(extend_s)], echo=request.echo())
    if form != "job":  # whose items are counted with those of its other forms
        refuse_too_many(len(document.items), document.terms, max_items)
    return document


def refuse_too_many(items: int, terms: ScoreRequest | JobSpec | None, limit: int) -> None:
    """Returns if one request may have this many items.

    Raises:
        InvalidRequest: ``too_many_items``.
    """
    load = load_of(items, terms)
    if load > limit:
        seeds = load // items
        times = f" times {seeds} seeds" if seeds > 1 else ""
        raise InvalidRequest(
            f"items: {items}{times} exceed the limit of {limit} per request",
            "too_many_items",
        )


def load_of(items: int, terms: ScoreRequest | JobSpec | None) -> int:
    """How many items a request counts as: each item once per seed."""
    return items * len((terms.reward.seeds if terms else None) or (None,))


def items_in_chunks(items: Sequence[Item]) -> Iterator[bytes]:
    """Items as JSON lists, each of which is read in a moment."""
    texts: list[bytes] = []
    size = 0
    for item in items:
        text = item.model_dump_json(exclude_none=True).encode()
        if texts and size + len(text) > CHUNK_BYTES:
            yield b"[" + b",".join(texts) + b"]"
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield b"[" + b",".join(texts) + b"]"


def read_chunk(chunk: bytes) -> tuple[Item, ...]:
    """The items in one of :func:`items_in_chunks`."""
    return _ITEMS.validate_json(chunk)
