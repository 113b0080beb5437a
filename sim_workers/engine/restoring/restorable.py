"""What a process does so that a keeper can put it back, and its parent's connection to the keeper.

A restorable process may compute, read what it has open and write replies. Any other system call
ends it (:func:`sim_workers.sandbox.seccomp.allow_only`), because its effects could not be put back;
so it must have enough memory from the start. If it ends, its parent does the work in an ordinary
process.
"""

import ctypes
import errno
import os
import platform
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from sim_workers.engine.restoring.keeper import ACCEPTED, Order
from sim_workers.engine.restoring.pristine_pages import make_store, map_vectors
from sim_workers.engine.restoring.tracee import SNAPSHOT_SIGNAL
from sim_workers.engine.restoring.written_pages import register_memory
from sim_workers.sandbox import seccomp

__all__ = ["KEEPER_LOST", "Keeper", "stop_here"]

KEEPER_LOST = "keeper_lost"
"""The reason given if the keeper itself has ended."""

_PR_SET_PTRACER = 0x59616D61
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_SPARE_HEAP_BYTES = 16 << 20
_ARENA_BYTES, _ARENAS = 1 << 20, 3
_SMALL_BYTES = 400
"""Larger objects are allocated by glibc."""
_MAX_REASON_BYTES = 4096
_REASON_LIMIT_S = 5.0
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.malloc.restype = ctypes.c_void_p
_LIBC.malloc.argtypes = (ctypes.c_size_t,)
_LIBC.free.argtypes = (ctypes.c_void_p,)


@dataclass(frozen=True)
class Keeper:
    """A keeper, as seen by the process that forks restorable children and by these children.

    Args:
        connection: The peer's end of what :func:`sim_workers.engine.restoring.keeper.keep` serves.
        pid: The keeper's process id.
    """

    connection: socket.socket
    pid: int

    def take(self, files: Sequence[int]) -> tuple[object, ...]:
        """Puts this process into the keeper's care, to be put back to the next :func:`stop_here`.

        Must be called in the child, whose memory is put back later. The result must stay alive.

        Args:
            files: Descriptors of the files that it reads.

        Raises:
            OSError: The keeper cannot. If the kernel cannot, this process ends with the error's
                number as its status, for the keeper to report.
        """
        reserved = _reserve_memory()
        store = make_store()
        vectors = map_vectors(store)
        _LIBC.prctl(_PR_SET_PTRACER, self.pid, 0, 0, 0)
        order = Order(ctypes.addressof(vectors), store, tuple(files))
        socket.send_fds(self.connection, [order.encode()], [store])
        answer = self.connection.recv(_MAX_REASON_BYTES)
        if answer != ACCEPTED:
            raise OSError(f"the keeper refused: {answer.decode(errors='replace')}")
        self.connection.close()
        if platform.machine() != "x86_64":
            os._exit(errno.ENOSYS)
        try:
            registered = register_memory()
        except OSError as exc:
            os._exit(exc.errno or 1)
        if not seccomp.allow_only(seccomp.RESTORABLE):
            os._exit(errno.ENOSYS)
        return reserved, vectors, registered

    def reason(self) -> str:
        """Why the last child ended; waits for that, which takes a moment."""
        if not select.select([self.connection], [], [], _REASON_LIMIT_S)[0]:
            return "unknown"
        return self.connection.recv(_MAX_REASON_BYTES).decode(errors="replace") or KEEPER_LOST


def stop_here() -> None:
    """Returns each time the keeper puts this process back to where it was in the first call."""
    os.kill(os.getpid(), SNAPSHOT_SIGNAL)


def _reserve_memory() -> object:
    """Gives glibc and Python memory in advance, so that they need not ask the kernel for any."""
    for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 1 << 30), (_M_TOP_PAD, 1 << 20)):
        _LIBC.mallopt(option, value)
    _LIBC.free(_LIBC.malloc(_SPARE_HEAP_BYTES))
    small = [bytes(_SMALL_BYTES) for _ in range(_ARENAS * _ARENA_BYTES // (_SMALL_BYTES + 48))]
    return small[:: _ARENA_BYTES // _SMALL_BYTES // 4]
