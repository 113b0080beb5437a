"""The processes that do a holder's rollouts: a new one for each, or one that is put back.

Candidates tried in an episode are rollouts, too.

Forking costs the copying of a process's page tables and a fault for each page that it writes;
putting one back costs the copying of those pages (:mod:`sim_workers.engine.restoring`). Whatever
cannot be put back, or ends in such a process without a reply, is done by a new one.
"""

import contextlib
import gc
import math
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import NoReturn

from shared.errors import RolloutCrashed, RolloutError, RolloutTimeout
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Tried, Try
from sim_workers.engine.episodes.serving import EpisodeServer
from sim_workers.engine.fork_memory import (
    SimulationMemory,
    detach,
    die_with_parent,
    files_being_read,
    own_bytes,
)
from sim_workers.engine.messages import (
    REPLY,
    REQUEST,
    Cancel,
    Failed,
    MadeBy,
    Reply,
    Rollout,
    RolloutOutcome,
)
from sim_workers.engine.replies import encode, reply_of
from sim_workers.engine.restoring.restorable import KEEPER_LOST, Keeper, stop_here
from sim_workers.engine.simulation import SUMO_ERRORS, Simulation

__all__ = ["Moment", "RolloutProcesses", "Work"]

Work = Rollout | Try
"""What such a process is asked to do; of candidates, just one."""

_ROLLOUT_FACTOR = 2
_ROLLOUT_EXTRA_BYTES = 1 << 30
"""A rollout may use this many times the memory of the simulation from which it starts, plus
this."""
_ENOUGH = 10
"""A process that was put back this often was worth creating."""
_LONGEST_MS = 2**31 - 1
"""The longest that a poll can wait."""
_MAX_FAILURES = 3
"""After this many in a row that were not, no more are created."""


@dataclass
class Moment:
    """A holder's simulation, as the processes forked from it find it."""

    simulation: Simulation
    episode: EpisodeServer
    memory: SimulationMemory
    before_rollout: Callable[[], None]
    """Called in the process that is used up by a rollout."""
    reading: list[int] = field(default_factory=list)
    """Descriptors of the files that the simulation reads."""
    rollout_bytes: int = _ROLLOUT_EXTRA_BYTES
    """The memory that a rollout may use."""
    _is_known: bool = False

    def pass_on(self) -> None:
        """Records that the simulation has changed."""
        self._is_known = False

    def before_fork(self) -> None:
        """Finds out, once per moment, what forked processes must know; most moments have none."""
        if self._is_known:
            return
        self.reading = files_being_read()
        self.memory.end()
        self.rollout_bytes = _ROLLOUT_FACTOR * own_bytes() + _ROLLOUT_EXTRA_BYTES
        gc.freeze()  # rollouts need not touch, and so copy, the pages of existing objects
        self._is_known = True


class RolloutProcesses:
    """Does rollouts of one simulation, one at a time.

    Args:
        peer: The connection on which to answer, and over which rollouts are cancelled.
        moment: What is forked.
    """

    def __init__(self, peer: Connection, moment: Moment) -> None:
        self._peer = peer
        self._moment = moment
        self._spare: _Child | None = None
        self._kept: _Child | None = None
        self._keeper: Keeper | None = None
        self._failures = 0
        self._not_restored: list[str] = []

    def keep(self, keeper: Keeper) -> None:
        """Uses processes that are put back from now on."""
        self._keeper = keeper

    def roll_out(self, data: bytes, rollout: Rollout) -> None:
        """Has a rollout done, and passes on the reply.

        Raises:
            EOFError: The peer has gone away.
        """
        reply = None if rollout.is_forked else self.restored(data, rollout)
        if reply is None:
            reply = self.forked(data, rollout)
        if self._not_restored:
            reply = self._with_reasons(reply)
        self._peer.send_bytes(reply)

    @property
    def is_restoring(self) -> bool:
        """Whether processes are put back here."""
        return self._keeper is not None

    @property
    def restored_here(self) -> int:
        """Rollouts of the present moment that its restorable process has done."""
        return 0 if self._kept is None else self._kept.uses

    def stop_restoring(self) -> None:
        """Stops putting processes back."""
        if self._kept is not None:
            self._let_go(self._kept)
        self._give_up()

    def reasons(self) -> tuple[str, ...]:
        """Why processes that could be put back have ended since the last call."""
        reasons, self._not_restored = tuple(self._not_restored), []
        return reasons

    def leave(self) -> None:
        """In a process that continues as another holder: releases what belongs to its parent."""
        for child in (self._spare, self._kept):
            if child is not None:
                child.requests.close()
                child.replies.close()
        self._spare = self._kept = None
        self._give_up()

    def drop(self) -> None:
        """Ends the processes of a moment that is about to pass."""
        if self._spare is not None:
            self._spare.end()
            self._spare = None
        if self._kept is not None:
            self._let_go(self._kept)

    def forked(self, data: bytes, rollout: Work) -> bytes:
        """Hands a rollout to a child that was forked in advance, and returns the reply.

        The next child is forked while this one runs. The kernel reaps children: tearing down their
        thousand memory maps takes as long as forking did, and there is no need to wait for it.

        Raises:
            EOFError: The peer has gone away.
        """
        child = self._spare or self._fork(self._roll_out_once)
        self._spare = None
        child.requests.send_bytes(data)
        if isinstance(rollout, Rollout) and not rollout.is_last and self._keeper is None:
            with contextlib.suppress(*SUMO_ERRORS):  # for all that are forked from now on
                self._moment.simulation.prepare(rollout)
            self._spare = self._fork(self._roll_out_once, rehearsal=data)
        with child.requests, child.replies:
            reply = self._await(child, rollout)
        if reply is None:
            words = "the rollout's process died without a message"
            return self._failed(RolloutCrashed(words), rollout)
        return reply

    def restored(self, data: bytes, rollout: Work) -> bytes | None:
        """Hands a rollout to the child that is put back, and returns the reply.

        None if there is no such child, or if it has ended without a reply.

        Raises:
            EOFError: The peer has gone away.
        """
        keeper, child = self._keeper, self._kept
        if keeper is None:
            return None
        if child is None:
            roll_out = partial(self._roll_out_again, keeper)
            self._kept = child = self._fork(roll_out, rehearsal=data)
        reply = None
        with contextlib.suppress(BrokenPipeError):
            child.requests.send_bytes(data)
            child.uses += 1
            reply = self._await(child, rollout)
        if reply is None or child.is_killed:
            self._let_go(child)
        return reply

    def _let_go(self, child: "_Child") -> None:
        """Ends the child that is put back, and records why if it ended by itself."""
        assert self._keeper is not None, "it has a keeper"  # noqa: S101
        has_ended = child.is_killed or not child.is_alive()
        child.end()
        reason = self._keeper.reason()
        self._kept = None
        if not has_ended:
            return
        self._not_restored.append(reason)
        self._failures = 0 if child.uses >= _ENOUGH else self._failures + 1
        if self._failures == _MAX_FAILURES or reason == KEEPER_LOST:
            self._not_restored.append("given_up")
            self._give_up()

    def _give_up(self) -> None:
        if self._keeper is not None:
            self._keeper.connection.close()
            self._keeper = None

    def _with_reasons(self, reply: bytes) -> bytes:
        answer = REPLY.validate_json(reply)
        if isinstance(answer, RolloutOutcome):
            return encode(answer.model_copy(update={"not_restored": self.reasons()}))
        return reply

    def _fork(
        self, roll_out: Callable[[Connection, Connection], None], rehearsal: bytes | None = None
    ) -> "_Child":
        """A child that waits for its rollout, having prepared for one like ``rehearsal``."""
        self._moment.before_fork()
        requests, our_requests = Pipe(duplex=False)
        our_replies, replies = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            try:
                self._peer.close()
                our_requests.close()
                our_replies.close()
                self._prepare(rehearsal)
                roll_out(requests, replies)
            except BaseException:  # noqa: BLE001  nothing may propagate into the holder's loop
                traceback.print_exc()
            finally:
                os._exit(0)
        requests.close()
        replies.close()
        return _Child(pid, our_requests, our_replies)

    def _prepare(self, rehearsal: bytes | None) -> None:
        """In a child: makes itself independent of the holder."""
        gc.disable()
        die_with_parent()
        detach(self._moment.reading)
        self._moment.before_rollout()
        if rehearsal is not None:
            self._moment.memory.make_own()
            _rehearse(self._moment, rehearsal)

    def _roll_out_once(self, requests: Connection, replies: Connection) -> None:
        roll_out = partial(_rolled_out, self._moment, requests, "fork")
        replies.send_bytes(reply_of(roll_out))

    def _roll_out_again(
        self, keeper: Keeper, requests: Connection, replies: Connection
    ) -> NoReturn:
        """Does one rollout after another; each time everything is as it was for the first."""
        kept = keeper.take(self._moment.reading)
        stop_here()
        roll_out = partial(_rolled_out, self._moment, requests, "restore")
        replies.send_bytes(reply_of(roll_out))
        stop_here()
        raise AssertionError("a process that was put back is not here", kept)

    def _await(self, child: "_Child", rollout: Work) -> bytes | None:
        """The child's reply, or a failure in its place; None if it has ended without one.

        Raises:
            EOFError: The peer has gone away.
        """
        until_s = time.monotonic() + rollout.limit_s
        error: RolloutError
        while True:
            ready = _readable([child.replies, self._peer], max(0.0, until_s - time.monotonic()))
            if child.replies in ready:
                try:
                    return child.replies.recv_bytes()
                except EOFError:
                    return None
            if self._peer in ready and not self._is_cancelled(rollout):
                continue
            child.kill()
            if self._peer in ready:
                error = RolloutError("nothing is waiting for the rollout any more", "cancelled")
            else:
                words = f"the rollout took longer than {rollout.limit_s:g} s and was stopped"
                error = RolloutTimeout(words)
            return self._failed(error, rollout)

    def _is_cancelled(self, rollout: Work) -> bool:
        """Reads what the peer sends during a rollout, which ends when the peer has gone away."""
        heard = REQUEST.validate_json(self._peer.recv_bytes())
        return isinstance(heard, Cancel) and heard.ticket == rollout.ticket

    def _failed(self, error: RolloutError, rollout: Work) -> bytes:
        """A reply with the error; also writes a log line, reported if the holder dies."""
        line = f"rollout {rollout.ticket} of request {rollout.request_id!r}: {error.message}\n"
        os.write(2, line.encode())
        return encode(Failed(error=ErrorInfo.of(error)))


@dataclass
class _Child:
    """A process that does rollouts."""

    pid: int
    requests: Connection
    replies: Connection
    uses: int = 0
    is_killed: bool = False

    def kill(self) -> None:
        """Ends it during a rollout."""
        self.is_killed = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends it, and closes its connection to this process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.requests.close()
        self.replies.close()

    def is_alive(self) -> bool:
        """Whether it is still running, in which case there is nothing to read from it."""
        return not self.replies.poll()


def _readable(connections: Sequence[Connection], limit_s: float) -> list[Connection]:
    """The connections that can be read from, within a time limit: like
    :func:`multiprocessing.connection.wait`, in a tenth of its time.
    """
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(min(math.ceil(limit_s * 1000), _LONGEST_MS))}
    return [connection for connection in connections if connection.fileno() in ready]


def _rehearse(moment: Moment, data: bytes) -> None:
    """Does what a rollout does without moving anything, so that its code and data are in memory."""
    rollout = REQUEST.validate_json(data)
    with contextlib.suppress(*SUMO_ERRORS):  # the rollout itself will report it
        if isinstance(rollout, Rollout):
            moment.simulation.prepare(rollout)
            encode(RolloutOutcome(metrics=moment.simulation.look(rollout.observe)))
        elif isinstance(rollout, Try):
            encode(Tried(trials=(moment.episode.rehearse(rollout),)))


def _rolled_out(moment: Moment, requests: Connection, made_by: MadeBy) -> Reply:
    rollout = REQUEST.validate_json(requests.recv_bytes())
    if isinstance(rollout, Try):
        return Tried(trials=(moment.episode.try_here(rollout),))
    assert isinstance(rollout, Rollout), "children are sent rollouts"  # noqa: S101
    return moment.simulation.roll_out(rollout).model_copy(update={"made_by": made_by})
