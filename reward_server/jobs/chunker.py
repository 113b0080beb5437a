"""Reads and checks items, and cuts them into the chunks of a job, all or nothing.

Both the body and the chunks are on disk; only one line and one chunk are in memory at a time.

"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from pydantic import ValidationError

from reward_server.jobs.store import CHUNK_BYTES, CHUNK_ITEMS, Chunk, pack
from shared.errors import InvalidRequest, RequestError
from shared.validation import validation_error
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, read_item

__all__ = ["Chunker", "Cut", "read_lines"]

_HEAD = struct.Struct("<II")
_MAX_LINE_BYTES = 4 * 2**20
"""More than the largest item."""
_MAX_MARKS = 60_000
"""Commas, colons and opening brackets of a line: plans at 64 signals have some 50,000."""

Check = Callable[[Item], None]
"""Raises a ``RequestError`` where an item names what is not known here."""


@dataclass(frozen=True)
class Cut:
    """Items cut into chunks and written to a file."""

    spec: JobSpec
    items: int
    digest: str
    """Digest of the spec and the items, independent of how they were written."""
    file: IO[bytes]
    size_bytes: int = 0
    """Size of the chunks."""

    def chunks(self) -> Iterator[Chunk]:
        """The chunks, in order."""
        self.file.seek(0)
        number = 0
        while head := self.file.read(_HEAD.size):
            count, size = _HEAD.unpack(head)
            yield Chunk(number, count, self.file.read(size))
            number += 1


class Chunker:
    """Checks items and cuts them into chunks.

    Args:
        file: The empty file that the chunks are written to.
        check: Checks the names in an item.
        max_items: Maximum number of items.
        piece_items: Items in every chunk but the last; fewer if the reward has seeds, because an
            item then takes that many rollouts.
    """

    def __init__(
        self, file: IO[bytes], check: Check, max_items: int, chunk_items: int = CHUNK_ITEMS
    ) -> None:
        self._file = file
        self._check = check
        self._max_items = max_items
        self._chunk_items = chunk_items
        self._items = 0
        self._lines: list[bytes] = []
        self._line_bytes = 0

    def cut(self, spec: JobSpec, items: Iterable[tuple[str, Item]]) -> Cut:
        """All of the chunks.

        Args:
            spec: What is asked for every item; part of the digest.
            items: Each with a description of its place, such as ``line 17``.

        Raises:
            UnknownState: An item names a state that is not served; its place is named.
            UnknownSignal: An item names a signal that its state does not have.
            InvalidRequest: There are no items, or ``too_many_items``.
            OSError: The file cannot be written.
        """
        digest = hashlib.sha256(spec.model_dump_json().encode())
        chunk_items = max(1, self._chunk_items // len(spec.reward.seeds or (None,)))
        for place, item in items:
            self._admit(place, item)
            line = item.model_dump_json(exclude_none=True).encode()
            digest.update(line + b"\n")
            self._lines.append(line)
            self._line_bytes += len(line)
            if len(self._lines) == chunk_items or self._line_bytes >= CHUNK_BYTES:
                self._write()
        if self._lines:
            self._write()
        if not self._items:
            raise InvalidRequest("there are no items to score", "no_items")
        return Cut(spec, self._items, digest.hexdigest(), self._file, self._file.tell())

    def _admit(self, place: str, item: Item) -> None:
        self._items += 1
        if self._items > self._max_items:
            raise InvalidRequest(
                f"there are more items than the limit of {self._max_items} per job",
                "too_many_items",
            )
        try:
            self._check(item)
        except RequestError as exc:
            raise type(exc)(f"{place}: {exc.message}", exc.code) from exc

    def _write(self) -> None:
        packed = pack(self._lines)
        self._file.write(_HEAD.pack(len(self._lines), len(packed)) + packed)
        self._lines, self._line_bytes = [], 0


def read_lines(file: IO[bytes]) -> Iterator[tuple[str, Item]]:
    """The items of a file with one per line; empty lines are passed over.

    Raises:
        InvalidRequest: A line is not an item; the message has its number, counted from 1.
    """
    for number, text in enumerate(iter(lambda: file.readline(_MAX_LINE_BYTES + 1), b""), start=1):
        place = f"line {number}"
        if len(text) > _MAX_LINE_BYTES:
            raise InvalidRequest(f"{place} is longer than {_MAX_LINE_BYTES} bytes")
        if not text.isspace():
            yield place, _read_item(place, text)


def _read_item(place: str, text: bytes) -> Item:
    if sum(text.count(mark) for mark in (b",", b":", b"{", b"[")) > _MAX_MARKS:
        raise InvalidRequest(f"{place}: it contains more values than an item can have")
    try:
        return read_item(text)
    except ValidationError as exc:
        error = validation_error(exc)
        raise InvalidRequest(f"{place}: {error.message}", error.code) from None
