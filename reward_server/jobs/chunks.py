"""How a job is cut: pieces of so many items, and a piece as it is kept in the database."""

import zlib
from collections.abc import Sequence

__all__ = ["CHUNK_BYTES", "CHUNK_ITEMS", "pack", "unpack"]

CHUNK_ITEMS = 256
"""Items of a piece, at most. Results are recorded, and told, a piece at a time."""
CHUNK_BYTES = 500_000
"""A piece ends with the item that brings it to so many bytes: it is read in one stretch."""

_FAST = 1


def pack(lines: Sequence[bytes]) -> bytes:
    """JSON lines, compressed.

    >>> unpack(pack([b"{}", b"[]"]))
    [b'{}', b'[]']
    """
    return zlib.compress(b"\n".join(lines), _FAST)


def unpack(packed: bytes) -> list[bytes]:
    """The lines again, without their ends."""
    return zlib.decompress(packed).split(b"\n")
