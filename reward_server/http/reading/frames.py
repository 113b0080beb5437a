"""Frames: how the gateway and a process that reads for it talk over pipes.

A frame consists of one byte for its kind, four for its length, and its content.
"""

import asyncio
import struct
from typing import IO

from shared.errors import GreenforkError, InvalidRequest, MalformedRequest, RequestError
from shared.model import WireModel

__all__ = [
    "CHUNK",
    "DONE",
    "ECHO",
    "ERROR",
    "HEAD",
    "Refusal",
    "pack",
    "read",
    "receive",
]

HEAD, CHUNK, ECHO, DONE, ERROR = b"H", b"P", b"E", b"D", b"X"
_LENGTH = struct.Struct("<cI")


class Refusal(WireModel):
    """Why a body was refused, as sent from one process to the other."""

    is_malformed: bool
    code: str
    message: str

    @classmethod
    def of(cls, error: GreenforkError) -> "Refusal":
        """Describes an error."""
        return cls(
            is_malformed=isinstance(error, MalformedRequest), code=error.code, message=error.message
        )

    def to_error(self) -> RequestError:
        """Turns it back into the error."""
        kind = MalformedRequest if self.is_malformed else InvalidRequest
        return kind(self.message, self.code)


def pack(kind: bytes, content: bytes) -> bytes:
    """A frame as bytes."""
    return _LENGTH.pack(kind, len(content)) + content


def read(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next frame; None if the other process has hung up."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    kind, size = _LENGTH.unpack(head)
    return kind, source.read(size)


async def receive(source: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame.

    Raises:
        asyncio.IncompleteReadError: The other process has hung up.
    """
    kind, size = _LENGTH.unpack(await source.readexactly(_LENGTH.size))
    return kind, await source.readexactly(size)
