"""What one worker does: hold simulations of states and fork rollouts off them.

Knows nothing of Ray; :mod:`sim_workers.pool.pool` makes an actor of it.
"""

import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog

from shared.errors import (
    DeadlineExceeded,
    GreenforkError,
    HolderLost,
    RolloutError,
    RolloutTimeout,
)
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.engine.version import sumo_version
from sim_workers.pool.checkpoints import CheckpointCache, Held
from sim_workers.pool.openings import Openings, Source
from sim_workers.pool.rollout import StateFiles

__all__ = ["StateWorker", "WorkerLimits"]

_log = structlog.get_logger(__name__)

_FOLDER_PREFIX = "greenfork-worker-"
_GRACE_S = 5.0
"""How much longer than its rollout a holder may take to answer before it is given up."""
_LEAST_MEMORY_MB = 4096.0
"""What one simulation may take in any case: holders are let go by a bound, not refused."""
_CHECKPOINTS = 4
"""For each holder so many checkpoints: they have less memory of their own, and none kept ready."""
_CHECKPOINT_SHARE = 0.5
"""What checkpoints may take of the holders' memory."""
_PROCESSES = 2
"""A holder and the child that it keeps ready, with as much memory of its own."""


@dataclass(frozen=True)
class WorkerLimits:
    """How much a worker may use."""

    rollout_timeout_s: float
    """Wall-clock seconds after which a rollout is killed."""
    max_holders: int
    max_holder_memory_mb: float
    """Bound on the sum of the holders' own memory, as measured when each was opened, MB."""


class StateWorker:
    """Scores batches of rollouts, each batch of one simulation.

    One thread runs and closes; another one may :meth:`cancel` meanwhile.

    Holders are kept, least recently used last, within the limits. One that dies is rebuilt once;
    if it dies again over the same rollout, that is reported.
    """

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        most_mb = max(limits.max_holder_memory_mb, _LEAST_MEMORY_MB)
        self._fork_server = ForkServer(round(most_mb * 2**20))
        self._checkpoints = CheckpointCache(
            self._fork_server,
            _CHECKPOINTS * limits.max_holders,
            _CHECKPOINT_SHARE * limits.max_holder_memory_mb,
        )
        self._openings = Openings(self._fork_server, self._checkpoints)
        self._sources: dict[str, Source] = {}
        self._holders: OrderedDict[str, Held] = OrderedDict()
        self._cancelled = _Cancellations()
        self._turn = threading.Lock()
        self.holder_starts = 0

    @cached_property
    def _folder(self) -> Path:
        """Where it keeps files, made when the first ones come."""
        _sweep()
        return Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))

    def hello(self) -> tuple[int, str]:
        """Its process id and version of SUMO, once it is there."""
        return os.getpid(), sumo_version()

    def run(
        self, rollouts: Sequence[Rollout], files: StateFiles | None = None
    ) -> list[RolloutOutcome] | None:
        """The outcome of each rollout, in order; None if the files are needed and not given.

        Args:
            rollouts: Forks of one simulation, at least one. Their limits count from now.
            files: What it is opened from.
        """
        started_s, simulation = time.monotonic(), rollouts[0].simulation
        with self._turn, self._cancelled.forgotten_afterwards():
            if files is not None:
                self._sources[simulation] = self._openings.unpack(self._folder, simulation, files)
            if not self._is_ready(simulation):
                return None
            if simulation not in self._holders:
                rollouts = [*rollouts[:-1], _last(rollouts[-1])]
            return [self._outcome(rollout, started_s) for rollout in rollouts]

    def cancel(self, tickets: Sequence[int]) -> None:
        """Ends those rollouts, of the batch that runs or is about to; the others go on."""
        self._cancelled.add(tickets)

    def close(self) -> None:
        """Ends every holder and removes the files, when the batch that runs is done."""
        with self._turn:
            for held in self._holders.values():
                held.holder.close()
            self._holders.clear()
            self._checkpoints.close()
            self._fork_server.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _outcome(self, rollout: Rollout, started_s: float) -> RolloutOutcome:
        begun_s, starts = time.monotonic(), self.holder_starts
        try:
            outcome = self._try_twice(rollout, started_s + rollout.limit_s)
        except GreenforkError as exc:
            outcome = RolloutOutcome.failed(exc)
            words = {"state_id": rollout.state_id, "code": exc.code, "reason": exc.message}
            _log.warning("rollout_failed", request_id=rollout.request_id, **words)
        took = {"waited_s": begun_s - started_s, "ran_s": time.monotonic() - begun_s}
        return outcome.model_copy(update={**took, "opened": self.holder_starts - starts})

    def _try_twice(self, rollout: Rollout, deadline_s: float) -> RolloutOutcome:
        try:
            return self._roll_out(rollout, deadline_s)
        except HolderLost:
            return self._roll_out(rollout, deadline_s)

    def _roll_out(self, rollout: Rollout, deadline_s: float) -> RolloutOutcome:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the rollout could start")
        self._cancelled.check(rollout.ticket)
        try:
            holder = self._hold(rollout, left_s)
            left_s = max(0.0, deadline_s - time.monotonic())
            limit_s = min(left_s, self._limits.rollout_timeout_s)
            with self._cancelled.noticed_by(
                holder, rollout.model_copy(update={"limit_s": limit_s})
            ):
                return holder.receive(RolloutOutcome, limit_s + _GRACE_S)
        except HolderLost:
            self._drop(rollout.simulation)
            raise
        except RolloutTimeout as exc:
            if time.monotonic() >= deadline_s:
                raise DeadlineExceeded("the deadline passed during the rollout") from exc
            raise

    def _hold(self, rollout: Rollout, limit_s: float) -> SimulationHandle:
        """The holder of a simulation, opened if there is none."""
        key = rollout.simulation
        if key in self._holders:
            self._holders.move_to_end(key)
            return self._holders[key].holder
        self.holder_starts += 1
        until_s = time.monotonic() + limit_s
        source = self._sources[key]
        holder = self._openings.open(rollout, source, lambda: max(0.0, until_s - time.monotonic()))
        self._holders[key] = Held(holder, _PROCESSES * holder.own_memory_mb())
        self._shrink()
        return holder

    def _is_ready(self, simulation: str) -> bool:
        """Whether it is there, or can be opened without further files."""
        if simulation in self._holders:
            return True
        source = self._sources.get(simulation)
        return source is not None and self._openings.suffices(source)

    def _shrink(self) -> None:
        """Lets the least recently used holders go until the limits are kept."""
        while len(self._holders) > 1 and (
            len(self._holders) > self._limits.max_holders or self._is_over_memory()
        ):
            key, held = self._holders.popitem(last=False)
            held.holder.close()
            self._forget(key)

        while self._is_over_memory() and self._checkpoints.let_go():
            pass

    def _is_over_memory(self) -> bool:
        held_mb = sum(held.memory_mb for held in self._holders.values())
        return held_mb + self._checkpoints.memory_mb > self._limits.max_holder_memory_mb

    def _drop(self, key: str) -> None:
        held = self._holders.pop(key, None)
        if held is not None:
            held.holder.kill()

    def _forget(self, key: str) -> None:
        source = self._sources.pop(key, None)
        if source is not None:
            source.remove()


def _last(rollout: Rollout) -> Rollout:
    """A rollout after which no child is kept ready.

    Most states are asked for once. One that is asked for again keeps a child ready from then on.
    """
    return rollout.model_copy(update={"is_last": True})


def _sweep() -> None:
    """Removes the folders of workers that were killed and could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


class _Cancellations:
    """Tickets that nobody waits for any more, as one thread tells the other one that runs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: set[int] = set()
        self._running: tuple[int, SimulationHandle] | None = None

    def add(self, tickets: Sequence[int]) -> None:
        """Notes the tickets, and ends the rollout under way if it is one of them."""
        with self._lock:
            self._tickets.update(tickets)
            if self._running is not None and self._running[0] in self._tickets:
                ticket, holder = self._running
                holder.cancel(ticket)

    @contextmanager
    def forgotten_afterwards(self) -> Iterator[None]:
        """Around a batch: the next one has other tickets."""
        try:
            yield
        finally:
            with self._lock:
                self._tickets.clear()

    def check(self, ticket: int) -> None:
        """Raises RolloutError, ``cancelled``, if nobody waits for the ticket."""
        if ticket in self._tickets:
            raise RolloutError("nothing is waiting for the rollout any more", "cancelled")

    @contextmanager
    def noticed_by(self, holder: SimulationHandle, rollout: Rollout) -> Iterator[None]:
        """Sends a rollout; while its reply is waited for, it can be cancelled."""
        with self._lock:
            self.check(rollout.ticket)
            holder.send(rollout)
            self._running = (rollout.ticket, holder)
        try:
            yield
        finally:
            with self._lock:
                self._running = None
