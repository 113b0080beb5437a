"""The simulation processes: ``python -m sim_workers.engine.fork_server FD``.

::

    actor, or builder                   owns sim_workers.engine.fork_client
      └─ fork server                    this module's main: libsumo imported, nothing started
           └─ holder, one a simulation  SUMO started, at its begin or from a state
                └─ rollout, one per candidate   waits, decides, steps, reports, exits

A holder may be asked to spawn another one, at the moment where its simulation is.

Every process here is single threaded and talks length-prefixed messages over its own socket, so
each can be forked at any moment. The fork server exists because importing costs ten times what
opening a small simulation does. A holder whose peer goes away exits, and takes its rollout with it.
"""

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import NoReturn

from shared.errors import (
    GreenforkError,
    OutOfMemory,
    RolloutCrashed,
    RolloutError,
    RolloutRejected,
    RolloutTimeout,
)
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.fork_memory import (
    SimulationMemory,
    detach,
    die_with_parent,
    files_being_read,
    own_bytes,
)
from sim_workers.engine.messages import (
    REQUEST,
    Advance,
    Cancel,
    Describe,
    Described,
    Failed,
    Look,
    Observe,
    Observed,
    Open,
    Ready,
    Replay,
    Reply,
    Request,
    Rollout,
    RolloutOutcome,
    Save,
    Seen,
    Spawn,
    Spawned,
)
from sim_workers.engine.readings import moment, moment_digest
from sim_workers.engine.simulation import SUMO_ERRORS, Simulation
from sim_workers.sandbox.confinement import before_stepping, libraries, read_only
from sim_workers.sandbox.isolation import limit_memory, use_memory_reserve

__all__ = ["main"]

_ROLLOUT_FACTOR = 2
_ROLLOUT_EXTRA_BYTES = 1 << 30
"""A rollout may take so many times the memory of the simulation that it begins from, and this."""
_LIMITED = 2
"""Argument that bounds memory."""


def main() -> None:
    """The fork server: forks a holder for each socket and log it is sent, until its own is closed.

    Arguments are the descriptor of that socket and how much memory each process may take, bytes.
    """
    if len(sys.argv) > _LIMITED:
        limit_memory(int(sys.argv[_LIMITED]))
    faulthandler.enable()  # a fault in SUMO leaves its name in the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps ended holders and rollouts
    libraries()  # for every holder
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while (received := socket.recv_fds(control, 1, 2))[0]:
            connection, log = received[1]
            pid = os.fork()
            if pid == 0:
                control.close()
                die_with_parent()
                _become_holder(connection, log, Simulation(), SimulationMemory())
            os.close(connection)
            os.close(log)
            control.sendall(pid.to_bytes(4, "big"))


def _become_holder(
    connection: int, log: int, simulation: Simulation, memory: SimulationMemory
) -> NoReturn:
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            _SimulationServer(Connection(connection), simulation, memory).serve()
    except BaseException:  # noqa: BLE001  nothing may climb back into another process's loop
        traceback.print_exc()
    finally:
        os._exit(0)


class _SimulationServer:
    """Answers requests about one simulation, one at a time."""

    def __init__(self, peer: Connection, simulation: Simulation, memory: SimulationMemory) -> None:
        self._peer = peer
        self._simulation = simulation
        self._memory = memory
        self._reading = files_being_read()
        self._spare: _Child | None = None
        self._has_stepped = False
        self._rollout_bytes = _ROLLOUT_EXTRA_BYTES

    def serve(self) -> None:
        """Answers until the peer closes its end, which raises EOFError."""
        while True:
            data = self._peer.recv_bytes()
            request = REQUEST.validate_json(data)
            if isinstance(request, Rollout) and not request.in_place:
                self._roll_out(data, request)
            elif isinstance(request, Spawn):
                self._spawn()
            elif isinstance(request, Cancel):
                continue  # its rollout ended meanwhile
            else:
                self._peer.send_bytes(_reply_of(partial(self._answer, request)))

    def _answer(self, request: Request) -> Reply:
        simulation = self._simulation
        match request:
            case Open():
                return self._open(request)
            case Describe():
                signals = simulation.describe(request.min_green_s, request.max_green_s)
                simulation.watch(signals.values())
                return Described(signals=signals)
            case Advance(to_s=to_s, policy=policy):
                with self._moving(steps=True):
                    actions = simulation.advance(to_s, policy)
                return Ready(time_s=simulation.time_s, actions=tuple(actions))
            case Replay(to_s=to_s, actions=repeated):
                digests: tuple[str, ...] = ()
                with self._moving(steps=True):
                    if request.is_watched:
                        digests = simulation.watch_on(to_s, repeated)
                    else:
                        simulation.replay(to_s, repeated)
                return Ready(time_s=simulation.time_s, digests=digests)
            case Observe(tls_ids=tls_ids):
                return Observed(
                    time_s=simulation.time_s,
                    signals=simulation.signal_states(),
                    counts={tls_id: simulation.counts(tls_id) for tls_id in tls_ids},
                )
            case Look(in_full=in_full):
                return Seen(things=moment() if in_full else {}, digest=moment_digest())
            case Save():
                self._save()
                return Ready(time_s=simulation.time_s)
            case Rollout():
                self._drop_spare()
                self._before_rollout()
                return simulation.roll_out(request)
            case Spawn() | Cancel():
                raise AssertionError("these are not answered")

    def _open(self, request: Open) -> Ready:
        simulation = self._simulation
        os.environ.update(request.environment)
        if request.folder is not None:
            os.chdir(request.folder)
        readable = [Path(request.config).parent, *map(Path, request.reads)]
        if request.state_file is not None:
            readable.append(Path(request.state_file))
        read_only(readable)
        self._memory.begin()
        with self._moving():
            simulation.open(request)
            if request.replay is not None:
                self._before_stepping()
                simulation.replay(request.replay.to_s, request.replay.actions)
        return Ready(time_s=simulation.time_s)

    def _before_stepping(self) -> None:
        """Once, before anything moves in this process."""
        if not self._has_stepped:
            before_stepping()
            self._has_stepped = True

    def _before_rollout(self) -> None:
        """In the process that is spent on it."""
        self._before_stepping()
        limit_memory(self._rollout_bytes)

    def _save(self) -> None:
        """Lets SUMO write into memory, and copies that to the file that was handed over."""
        target, draft = recv_handle(self._peer), os.memfd_create("state")
        try:
            self._simulation.save(Path(f"/proc/self/fd/{draft}"))
            done, size = 0, os.lseek(draft, 0, os.SEEK_END)
            while done < size:
                done += os.sendfile(target, draft, done, size - done)
        finally:
            os.close(draft)
            os.close(target)

    @contextlib.contextmanager
    def _moving(self, steps: bool = False) -> Iterator[None]:
        """Around whatever changes the simulation itself, by stepping it or otherwise."""
        self._drop_spare()
        if steps:
            self._before_stepping()
        yield
        self._reading = files_being_read()
        self._memory.end()
        self._rollout_bytes = _ROLLOUT_FACTOR * own_bytes() + _ROLLOUT_EXTRA_BYTES
        gc.freeze()  # rollouts need not touch, and so copy, the pages of what is here now

    def _spawn(self) -> None:
        """Becomes two: the other one has the same simulation and a peer of its own."""
        connection, log = recv_handle(self._peer), recv_handle(self._peer)
        pid = os.fork()
        if pid == 0:
            self._peer.close()
            detach(self._reading)
            _become_holder(connection, log, self._simulation, self._memory)
        os.close(connection)
        os.close(log)
        self._peer.send_bytes(_encode(Spawned(pid=pid)))

    def _roll_out(self, data: bytes, rollout: Rollout) -> None:
        """Hands a rollout to a child that was forked before, and passes its reply on.

        The next child is forked while this one runs. The kernel reaps them: tearing down their
        thousand memory maps takes as long as forking did, and nobody need wait for that.
        """
        child = self._spare or self._fork()
        self._spare = None
        child.requests.send_bytes(data)
        if not rollout.is_last:
            self._spare = self._fork(rehearsal=data)
        with child.requests, child.replies:
            self._peer.send_bytes(self._await(child, rollout))

    def _fork(self, rehearsal: bytes | None = None) -> "_Child":
        """A child that waits for its rollout, having prepared for one like ``rehearsal``."""
        requests, our_requests = Pipe(duplex=False)
        our_replies, replies = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            gc.disable()
            die_with_parent()
            self._peer.close()
            our_requests.close()
            our_replies.close()
            detach(self._reading)
            self._before_rollout()
            if rehearsal is not None:
                self._memory.make_own()
                _rehearse(self._simulation, rehearsal)
            try:
                replies.send_bytes(_reply_of(partial(_rolled_out, self._simulation, requests)))
            finally:
                os._exit(0)
        requests.close()
        replies.close()
        return _Child(pid, our_requests, our_replies)

    def _drop_spare(self) -> None:
        """Ends the child that was forked from a moment which is about to pass."""
        if self._spare is not None:
            os.kill(self._spare.pid, signal.SIGKILL)
            self._spare.requests.close()
            self._spare.replies.close()
            self._spare = None

    def _await(self, child: "_Child", rollout: Rollout) -> bytes:
        """The child's reply, or a failure in its place; EOFError if the peer goes away."""
        until_s = time.monotonic() + rollout.limit_s
        error: RolloutError
        while True:
            ready = wait([child.replies, self._peer], max(0.0, until_s - time.monotonic()))
            if child.replies in ready:
                try:
                    return child.replies.recv_bytes()
                except EOFError:
                    words = "the rollout's process died without a message"
                    return self._failed(RolloutCrashed(words), rollout)
            if self._peer in ready and not self._is_cancelled(rollout):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
            if self._peer in ready:
                error = RolloutError("nothing is waiting for the rollout any more", "cancelled")
            else:
                words = f"the rollout took longer than {rollout.limit_s:g} s and was stopped"
                error = RolloutTimeout(words)
            return self._failed(error, rollout)

    def _is_cancelled(self, rollout: Rollout) -> bool:
        """Hears what the peer says during a rollout, which ends when the peer has gone away."""
        heard = REQUEST.validate_json(self._peer.recv_bytes())
        return isinstance(heard, Cancel) and heard.ticket == rollout.ticket

    def _failed(self, error: RolloutError, rollout: Rollout) -> bytes:
        """The reply that says so; and a line in the log, whose end is told if the holder dies."""
        line = f"rollout {rollout.ticket} of request {rollout.request_id!r}: {error.message}\n"
        os.write(2, line.encode())
        return _encode(Failed(error=ErrorInfo.of(error)))


@dataclass(frozen=True)
class _Child:
    """A process that does one rollout."""

    pid: int
    requests: Connection
    replies: Connection


def _rehearse(simulation: Simulation, data: bytes) -> None:
    """Does what a rollout does except moving anything, so that its code and data are at hand."""
    rollout = REQUEST.validate_json(data)
    if isinstance(rollout, Rollout):
        with contextlib.suppress(*SUMO_ERRORS):  # the rollout itself will say so
            _encode(RolloutOutcome(metrics=simulation.look(rollout.observe)))


def _rolled_out(simulation: Simulation, requests: Connection) -> RolloutOutcome:
    rollout = REQUEST.validate_json(requests.recv_bytes())
    assert isinstance(rollout, Rollout), "children are sent rollouts"  # noqa: S101
    return simulation.roll_out(rollout)


def _reply_of(work: Callable[[], Reply]) -> bytes:
    """The boundary of a holder: whatever goes wrong becomes a reply."""
    error: GreenforkError
    try:
        return _encode(work())
    except Exception as exc:  # noqa: BLE001  a boundary
        error = _classified(exc)
    return _encode(Failed(error=ErrorInfo.of(error)))


def _classified(exc: Exception) -> GreenforkError:
    if any(isinstance(e, MemoryError) or "bad_alloc" in str(e) for e in (exc, exc.__cause__)):
        use_memory_reserve()
        words = f"the simulation exceeds its memory limit of {own_bytes() >> 20} MiB"
        return OutOfMemory(words)
    if isinstance(exc, GreenforkError):
        return exc
    if isinstance(exc, SUMO_ERRORS):
        return RolloutRejected(f"SUMO refused: {exc}")
    return RolloutError(f"{type(exc).__name__}: {exc}")


def _encode(reply: Reply) -> bytes:
    return reply.model_dump_json().encode()


if __name__ == "__main__":
    main()
