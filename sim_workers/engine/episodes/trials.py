"""Candidates at the present moment of an episode, each rolled out in a forked process.

The episode itself does not move. A process that dies or is too slow leaves an error in its place.
"""

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait

from shared.errors import RolloutCrashed, RolloutError, RolloutTimeout
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Trial

__all__ = ["try_all"]


@dataclass
class _Trying:
    """The running processes, by the end of the pipe on which they answer."""

    peer: Connection
    until_s: float
    running: dict[Connection, tuple[int, int]] = field(default_factory=dict)
    """The candidate's number and the process."""

    def fork(self, number: int, work: Callable[[], bytes]) -> None:
        """Has a process try one candidate."""
        ours, theirs = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            try:
                self.peer.close()
                for other in self.running:
                    other.close()
                ours.close()
                theirs.send_bytes(work())
            except BaseException:  # noqa: BLE001  nothing may propagate into the holder's loop
                traceback.print_exc()
            finally:
                os._exit(0)
        theirs.close()
        self.running[ours] = (number, pid)

    def end(self) -> None:
        """Kills the processes that are left."""
        for connection, (_, pid) in self.running.items():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            connection.close()
        self.running.clear()

    def collect(self) -> list[tuple[int, Trial]]:
        """Waits for at least one to end.

        Raises:
            EOFError: The peer has gone away.
            RolloutTimeout: They took too long.
        """
        ready = wait([*self.running, self.peer], max(0.0, self.until_s - time.monotonic()))
        if self.peer in ready:  # the peer sends nothing meanwhile
            raise EOFError
        if not ready:
            raise RolloutTimeout("the candidates took too long and were stopped")
        found = []
        for connection in list(self.running):
            if connection in ready:
                number, _ = self.running.pop(connection)
                found.append((number, _received(connection)))
        return found


def try_all(
    works: Sequence[Callable[[], bytes]], at_once: int, limit_s: float, peer: Connection
) -> tuple[Trial, ...]:
    """Does each piece of work in a process of its own; each returns the JSON of a :class:`Trial`.

    Args:
        works: The pieces of work.
        at_once: Number of processes at a time.
        limit_s: Wall-clock seconds for all of them.
        peer: The connection of the process that waits; if it is closed, everything ends.

    Raises:
        EOFError: The peer has gone away.
    """
    trying = _Trying(peer, time.monotonic() + limit_s)
    waiting, done = list(enumerate(works)), dict[int, Trial]()
    try:
        while waiting or trying.running:
            while waiting and len(trying.running) < max(1, at_once):
                trying.fork(*waiting.pop(0))
            done.update(trying.collect())
    except RolloutTimeout as exc:
        return tuple(done.get(number) or _failed(exc) for number in range(len(works)))
    finally:
        trying.end()
    return tuple(done[number] for number in range(len(works)))


def _received(connection: Connection) -> Trial:
    with connection:
        try:
            return Trial.model_validate_json(connection.recv_bytes())
        except EOFError:
            return _failed(RolloutCrashed("the candidate's process died without a message"))


def _failed(error: RolloutError) -> Trial:
    return Trial(error=ErrorInfo.of(error))
