"""The former contents of a process's pages, stored where that process can fetch them.

They are read from a twin that never continued, page by page when they are first needed, and kept in
a file in memory. Its beginning, which both processes map, lists the destination of each piece, so
that a single ``preadv`` in the process itself puts back a thousand ranges.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass

from sim_workers.engine.restoring.written_pages import STORE_NAME, Range

__all__ = ["Piece", "PristinePages", "make_store", "map_vectors"]

_VECTOR_BYTES = 16
_MAX_VECTORS = 1 << 16
_VECTORS_BYTES = _VECTOR_BYTES * _MAX_VECTORS
_MAX_VECTORS_PER_CALL = 1024
_PAGE_BYTES = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.process_vm_readv.restype = ctypes.c_ssize_t
_LIBC.process_vm_readv.argtypes = (
    *(ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong),
    *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong),
)


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@dataclass
class Piece:
    """The arguments of one ``preadv``."""

    first_vector: int
    """Offset in the mapped list, in bytes."""
    offset: int
    """Offset in the file, in bytes."""
    vectors: int = 0
    length: int = 0
    """The number of bytes that it must return."""


def make_store() -> int:
    """A file in memory for the pages and their list; returns its descriptor."""
    store = os.memfd_create(STORE_NAME.removeprefix("memfd:"), os.MFD_CLOEXEC)
    os.truncate(store, _VECTORS_BYTES)
    return store


def map_vectors(store: int) -> "ctypes.Array[ctypes.c_char]":
    """The list of destinations, mapped into this process for as long as it lives."""
    return (ctypes.c_char * _VECTORS_BYTES).from_buffer(mmap.mmap(store, _VECTORS_BYTES))


class PristinePages:
    """The pages of a twin that have been needed so far.

    Args:
        twin: The twin's process id.
        store: A file from :func:`make_store`.
    """

    def __init__(self, twin: int, store: int) -> None:
        self._twin = twin
        self._store = store
        self._vectors = (_Vector * _MAX_VECTORS).from_buffer(map_vectors(store))
        self.forget()

    @property
    def length(self) -> int:
        """Number of bytes kept."""
        return len(self._pages) * _PAGE_BYTES

    def forget(self) -> None:
        """Starts afresh."""
        self._pages: set[int] = set()
        self._count = 0
        self.pieces: list[Piece] = []

    def add(self, ranges: Iterable[Range]) -> None:
        """Makes sure that the pages of these ranges are in the file.

        Raises:
            OSError: The twin has no such pages, or there are too many ranges.
        """
        missing = list(self._missing(ranges))
        if self._count + len(missing) > _MAX_VECTORS:
            raise OSError(errno.E2BIG, "the written pages lie in too many places")
        while missing:
            piece = self._open_piece()
            room = _MAX_VECTORS_PER_CALL - piece.vectors
            self._fetch(piece, missing[:room])
            del missing[:room]

    def _missing(self, ranges: Iterable[Range]) -> Iterable[Range]:
        pages = self._pages
        for start, end in ranges:
            first = start
            for page in range(start, end, _PAGE_BYTES):
                if page in pages:
                    if first < page:
                        yield first, page
                    first = page + _PAGE_BYTES
                pages.add(page)
            if first < end:
                yield first, end

    def _open_piece(self) -> Piece:
        last = self.pieces[-1] if self.pieces else None
        if last is not None and last.vectors < _MAX_VECTORS_PER_CALL:
            return last
        offset = _VECTORS_BYTES if last is None else last.offset + last.length
        self.pieces.append(Piece(self._count * _VECTOR_BYTES, offset))
        return self.pieces[-1]

    def _fetch(self, piece: Piece, ranges: list[Range]) -> None:
        length = sum(end - start for start, end in ranges)
        contents = ctypes.create_string_buffer(length)
        local = _Vector(ctypes.addressof(contents), length)
        for index, (start, end) in enumerate(ranges, self._count):
            self._vectors[index] = _Vector(start, end - start)
        remote = ctypes.byref(self._vectors, self._count * _VECTOR_BYTES)
        read = _LIBC.process_vm_readv(self._twin, ctypes.byref(local), 1, remote, len(ranges), 0)
        if read != length:
            raise OSError(ctypes.get_errno(), "pages were written that the twin does not have")
        os.pwrite(self._store, contents, piece.offset + piece.length)
        self._count += len(ranges)
        piece.vectors += len(ranges)
        piece.length += length
