"""The keeper: a process that puts another one back after each rollout.

::

    holder                    sends requests; forks a restorable child if there is none
      ├─ restorable child     rolls out, replies, stops itself; see restorable
      └─ twin                 a copy of the child when it first stopped; never runs
    keeper                    traces both: this module; forked by the fork server

It is a separate process because a holder that has stepped a scenario may not look into others
(:mod:`sim_workers.sandbox.confinement`). The kernel tells it which process to keep: each message
carries the sender's process id.
"""

import errno
import os
import re
import signal
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sim_workers.engine.restoring.pristine_pages import PristinePages
from sim_workers.engine.restoring.tracee import SNAPSHOT_SIGNAL, Registers, Tracee
from sim_workers.engine.restoring.written_pages import SHARES_MEMORY, WrittenPages

__all__ = ["ACCEPTED", "Order", "keep"]

ACCEPTED = b"kept"
"""The reply to an order; any other says why it failed."""
_PREADV, _LSEEK = 295, 8
_CREDENTIALS, _DESCRIPTOR = struct.Struct("3i"), struct.Struct("i")
_MAX_ORDER_BYTES = 8 * 64
_REARM_EVERY = 64
"""Pages written once are always put back afterwards; this is how often they are counted afresh."""
_LINES = ("VmData", "VmExe", "VmLib", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")
_TOLD = re.compile(b".*?".join(rb"%b:\s*(\S+)" % name.encode() for name in _LINES), re.DOTALL)
_SHAPE = (*_LINES, "descriptors")
_MAX_STATUS_BYTES = 8192


@dataclass(frozen=True)
class Order:
    """A child's report before it is kept. Descriptors and addresses are those of the child."""

    vectors: int
    """Where the child maps the list of a :class:`PristinePages`."""
    store: int
    """The descriptor of their file, which is sent along."""
    files: tuple[int, ...]
    """Files that the child reads; their positions are put back as well."""

    def encode(self) -> bytes:
        """The encoded form."""
        numbers = (self.vectors, self.store, *self.files)
        return struct.pack(f"<{len(numbers)}Q", *numbers)

    @classmethod
    def decode(cls, data: bytes) -> "Order":
        """Decodes a received message."""
        vectors, store, *files = struct.unpack(f"<{len(data) // 8}Q", data)
        return cls(vectors, store, tuple(files))


def keep(peer: socket.socket) -> None:
    """Keeps one child after another, until the peer closes its end.

    Sends its process id first, and then, for each child, why it ended.
    """
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    peer.send(str(os.getpid()).encode())
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size)
    while True:
        data, ancillary, _, _ = peer.recvmsg(_MAX_ORDER_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        found = {kind: content for _, kind, content in ancillary}
        pid, _, _ = _CREDENTIALS.unpack(found[socket.SCM_CREDENTIALS])
        (store,) = _DESCRIPTOR.unpack(found[socket.SCM_RIGHTS])
        reason = _keep_child(peer, pid, Order.decode(data), store)
        os.close(store)
        peer.send(reason.encode())


def _keep_child(peer: socket.socket, pid: int, order: Order, store: int) -> str:
    """Keeps a child while it lives and can be put back; returns why that ended."""
    try:
        child = Tracee.seize(pid)
    except OSError as exc:
        peer.send(str(exc).encode())
        return f"refused: {exc}"
    peer.send(ACCEPTED)
    snapshot = None
    try:
        while (stopped := child.wait()) is not None:
            if stopped != SNAPSHOT_SIGNAL:
                child.resume(stopped)
            elif snapshot is None:
                snapshot = _Snapshot(child, order, store)
            else:
                snapshot.put_back()
    except _Changed as exc:
        return str(exc)
    except OSError as exc:
        return f"error: {exc}"
    finally:
        child.kill()
        if snapshot is not None:
            snapshot.close()
    if snapshot is None and child.exit_status == SHARES_MEMORY:
        return "refused: the process shares memory that it can write to"
    if snapshot is None and child.exit_status:
        return f"refused: userfaultfd or seccomp: {os.strerror(child.exit_status)}"
    return "system_call" if child.ended_by == signal.SIGSYS else "ended"


class _Changed(Exception):
    """Something has changed that cannot be put back."""


class _Snapshot:
    """The exact condition of a stopped child. Lets it continue, also each time it is put back."""

    def __init__(self, child: Tracee, order: Order, store: int) -> None:
        self._child = child
        self._order = order
        self._registers = Registers(child.pid)
        self._status = _Status(child.pid, order.files)
        self._positions = self._status.positions()
        self._twin = child.fork()
        self._pristine = PristinePages(self._twin.pid, store)
        self._written = WrittenPages(child.pid)
        self._scanned = b""
        self._returns = 0
        self._written.arm()
        self._shape = self._status.shape()
        self._go_on()

    def put_back(self) -> None:
        """Puts everything back.

        Raises:
            _Changed: The child did something that cannot be undone.
        """
        shape = self._status.shape()
        if shape != self._shape:
            changed = (n for n, a, b in zip(_SHAPE, shape, self._shape, strict=True) if a != b)
            raise _Changed(", ".join(changed))
        scanned = self._written.scan()
        if scanned != self._scanned:
            self._pristine.add(self._written.ranges(scanned))
            self._scanned = scanned
        for piece in self._pristine.pieces:
            where = self._order.vectors + piece.first_vector, piece.vectors
            self._call(piece.length, _PREADV, self._order.store, *where, piece.offset)
        for descriptor, former, now in zip(
            self._order.files, self._positions, self._status.positions(), strict=True
        ):
            if now != former:
                self._call(former, _LSEEK, descriptor, former, os.SEEK_SET)
        self._returns += 1
        if self._returns % _REARM_EVERY == 0:
            self._written.arm()
            self._pristine.forget()
            self._scanned = b""
        self._go_on()

    def close(self) -> None:
        """Ends the twin."""
        self._twin.kill()
        self._written.close()
        self._status.close()

    def _go_on(self) -> None:
        self._registers.put_back()
        self._child.resume()

    def _call(self, expected: int, number: int, *arguments: int) -> None:
        result = self._child.call(number, *arguments)
        if result != expected:
            number = -result if result < 0 else errno.EIO
            raise OSError(number, f"system call {number} returned {result}, not {expected}")


class _Status:
    """What ``/proc`` reports about a process and the files that it reads, for repeated use."""

    def __init__(self, pid: int, files: Sequence[int]) -> None:
        self._status = _open(f"/proc/{pid}/status")
        self._descriptors = _open(f"/proc/{pid}/fd")
        self._files = [_open(f"/proc/{pid}/fdinfo/{descriptor}") for descriptor in files]

    def shape(self) -> tuple[bytes | int, ...]:
        """What a rollout must leave unchanged, in the order of :data:`_SHAPE`."""
        told = _TOLD.search(os.pread(self._status, _MAX_STATUS_BYTES, 0))
        assert told is not None, "the kernel writes all of these lines"  # noqa: S101
        return *told.groups(), os.fstat(self._descriptors).st_size

    def positions(self) -> list[int]:
        """The position in each file."""
        return [int(os.pread(file, _MAX_STATUS_BYTES, 0).split(None, 2)[1]) for file in self._files]

    def close(self) -> None:
        """Closes the files."""
        for descriptor in (self._status, self._descriptors, *self._files):
            os.close(descriptor)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
