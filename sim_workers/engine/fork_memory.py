"""What a forked process must not share with its parent: file positions, and, in time, memory.

After a fork, parent and child share the position of every open file. SUMO reads demand gradually, a
megabyte ahead; a child that reads on would make its parent, and every later child, skip what it has
read.

They also share every page of memory until one of them writes to it; each first write is a fault
that copies one page. A simulation writes to most of its memory in its first steps, so that on a
large network the first second takes six times as long as the others. Linux 5.14 can copy a whole
range at once, at half the cost, and a child that is kept ready does so before it is asked.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import stat
from collections.abc import Iterable
from pathlib import Path

__all__ = ["SimulationMemory", "detach", "die_with_parent", "files_being_read", "own_bytes"]

_DESCRIPTORS = Path("/proc/self/fd")
_PR_SET_PDEATHSIG = 1
_MADV_POPULATE_WRITE = 23
_MIN_BYTES = 8 * 1024 * 1024
"""Less is not worth it: a small simulation writes to only a third of its memory."""
_MAX_BYTES = 256 * 1024 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.sbrk.restype = ctypes.c_void_p
_LIBC.sbrk.argtypes = [ctypes.c_ssize_t]
_LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def detach(descriptors: Iterable[int]) -> None:
    """Reopens the files that this process reads, each at its present position.

    Called in a child before it reads anything. The parent must not read meanwhile.
    """
    for descriptor in descriptors:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        own = os.open(_DESCRIPTORS / str(descriptor), os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(own, position, os.SEEK_SET)
        os.dup2(own, descriptor, inheritable=False)
        os.close(own)


def files_being_read() -> list[int]:
    """The descriptors of regular files that this process has open for reading only."""
    found = []
    for entry in list(_DESCRIPTORS.iterdir()):
        descriptor = int(entry.name)
        try:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        except OSError:  # the listing's own descriptor, closed by now
            continue
        if is_regular and mode == os.O_RDONLY:
            found.append(descriptor)
    return found


def die_with_parent() -> None:
    """Makes the kernel kill this process when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def own_bytes() -> int:
    """This process's memory that ``RLIMIT_DATA`` counts."""
    pages = Path("/proc/self/statm").read_text().split()[5]
    return int(pages) * mmap.PAGESIZE


class SimulationMemory:
    """The part of the heap that holds a simulation's objects."""

    def __init__(self) -> None:
        self._begin = self._end = 0

    def begin(self) -> None:
        """Records where the heap ends before there is a simulation."""
        self._begin = _heap_end()

    def end(self) -> None:
        """Records where it ends now that the simulation is loaded, or has advanced."""
        self._end = _heap_end()

    def make_own(self) -> None:
        """Copies it into this process. Does nothing if the kernel cannot."""
        begin = self._begin - self._begin % mmap.PAGESIZE
        size = self._end - begin
        if _MIN_BYTES <= size <= _MAX_BYTES:
            _LIBC.madvise(begin, size, _MADV_POPULATE_WRITE)


def _heap_end() -> int:
    return int(_LIBC.sbrk(0) or 0)
