"""One worker: holds simulations of states, and forks rollouts from them.

Knows nothing of Ray; :mod:`sim_workers.pool.pool` makes an actor of it.
"""

import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import structlog

from shared.errors import (
    DeadlineExceeded,
    GreenforkError,
    HolderLost,
    RolloutTimeout,
)
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.engine.version import sumo_version
from sim_workers.pool.cancellations import Cancellations
from sim_workers.pool.checkpoints import CheckpointCache, Held
from sim_workers.pool.episodes.host import EpisodeHost, EpisodeLimits
from sim_workers.pool.episodes.messages import EpisodeBatch, EpisodeCall
from sim_workers.pool.openings import Openings, Source
from sim_workers.pool.restore_checks import RestoreChecks
from sim_workers.pool.rollout import StateFiles

__all__ = ["StateWorker", "WorkerLimits"]

_log = structlog.get_logger(__name__)

_FOLDER_PREFIX = "greenfork-worker-"
_GRACE_S = 5.0
"""How much longer than its rollout a holder may take to answer before it is abandoned."""
_LEAST_MEMORY_MB = 4096.0
"""What one simulation may always take: the bound makes room by dropping holders, not refusing."""
_CHECKPOINTS = 4
"""Checkpoints per holder: they have less memory of their own, and keep no child ready."""
_CHECKPOINT_SHARE = 0.5
"""Share of the holders' memory that checkpoints may take."""
_PROCESSES = 3
"""A holder, the child that it keeps ready, with as much memory of its own, and what that is put
back from."""


@dataclass(frozen=True)
class WorkerLimits:
    """How much a worker may use."""

    rollout_timeout_s: float
    """Wall-clock seconds after which a rollout is killed."""
    max_holders: int
    max_holder_memory_mb: float
    """Bound on the sum of the holders' own memory, as measured when each was opened, MB."""
    restore_check_every: int | None = 200
    """Of so many rollouts in a process that was put back, one is done by a fork as well, and
    compared. None: each rollout is a fork."""
    episodes: EpisodeLimits = field(default_factory=EpisodeLimits)


class StateWorker:
    """Scores batches of rollouts, each batch of one simulation, and steps episodes.

    One thread runs and closes; another may :meth:`cancel` meanwhile.

    Holders are kept within the limits; the least recently used are dropped first. A holder that
    dies is rebuilt once; if it dies again over the same rollout, that is reported.
    """

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        most_mb = max(limits.max_holder_memory_mb, _LEAST_MEMORY_MB)
        self._fork_server = ForkServer(round(most_mb * 2**20), with_metrics=True)
        self._checkpoints = CheckpointCache(
            self._fork_server,
            _CHECKPOINTS * limits.max_holders,
            _CHECKPOINT_SHARE * limits.max_holder_memory_mb,
        )
        self._openings = Openings(self._fork_server, self._checkpoints)
        self._sources: dict[str, Source] = {}
        self._holders: OrderedDict[str, Held] = OrderedDict()
        self._checks = RestoreChecks(limits.restore_check_every)
        self._kept: set[str] = set()
        self._cancelled = Cancellations()
        self._turn = threading.Lock()
        self.holder_starts = 0
        self._is_restoring = False

    @cached_property
    def _folder(self) -> Path:
        """Where it keeps files; created with the first ones."""
        _sweep()
        return Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))

    @cached_property
    def _episodes(self) -> EpisodeHost:
        return EpisodeHost(self._fork_server, self._limits.episodes, self._folder)

    def hello(self) -> tuple[int, str]:
        """Its process id and version of SUMO, once it has started."""
        return os.getpid(), sumo_version()

    def run(
        self, rollouts: Sequence[Rollout], files: StateFiles | None = None
    ) -> list[RolloutOutcome] | None:
        """The outcome of each rollout, in order; None if the files are needed and not given.

        Args:
            rollouts: Rollouts of one simulation, at least one. Their time limits start now.
            files: What the simulation is opened from.
        """
        started_s, simulation = time.monotonic(), rollouts[0].simulation
        with self._turn, self._cancelled.forgotten_afterwards():
            if files is not None:
                self._sources[simulation] = self._openings.unpack(self._folder, simulation, files)
            if not self._is_ready(simulation):
                return None
            is_new = simulation not in self._holders
            self._is_restoring = self._checks.asked(simulation, len(rollouts))
            if is_new and not self._is_restoring:
                rollouts = [*rollouts[:-1], _last(rollouts[-1])]
            outcomes = [self._outcome(rollout, started_s) for rollout in rollouts]
            return self._without_doubt(rollouts, outcomes, started_s)

    def cancel(self, tickets: Sequence[int]) -> None:
        """Ends some rollouts of the current or the next batch; the others go on."""
        self._cancelled.add(tickets)

    def run_episodes(self, calls: Sequence[EpisodeCall]) -> EpisodeBatch:
        """What becomes of calls about episodes, in order."""
        with self._turn:
            return self._episodes.run(calls)

    def park_episodes(self, episode_ids: Collection[str]) -> None:
        """Lets the processes of episodes go, when the batch that runs is done."""
        with self._turn:
            self._episodes.park(episode_ids)

    def close(self) -> None:
        """Ends every holder and removes the files, once the current batch is done."""
        with self._turn:
            for held in self._holders.values():
                held.holder.close()
            self._holders.clear()
            self._episodes.close()
            self._checkpoints.close()
            self._fork_server.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _outcome(self, rollout: Rollout, started_s: float) -> RolloutOutcome:
        begun_s, starts = time.monotonic(), self.holder_starts
        deadline_s = started_s + rollout.limit_s
        try:
            outcome = self._try_twice(rollout, deadline_s)
            self._heed(outcome.not_restored)
            if outcome.made_by == "restore" and self._checks.is_due(rollout):
                outcome = self._compared(rollout, outcome, deadline_s)
        except GreenforkError as exc:
            outcome = RolloutOutcome.failed(exc)
            words = {"state_id": rollout.state_id, "code": exc.code, "reason": exc.message}
            _log.warning("rollout_failed", request_id=rollout.request_id, **words)
        took = {"waited_s": begun_s - started_s, "ran_s": time.monotonic() - begun_s}
        return outcome.model_copy(update={**took, "opened": self.holder_starts - starts})

    def _compared(
        self, rollout: Rollout, restored: RolloutOutcome, deadline_s: float
    ) -> RolloutOutcome:
        """The outcome of a restored rollout, checked by a fork; the fork's if they differ.

        If there is no time left for the fork, the check stays due.
        """
        try:
            forked = self._try_twice(rollout.model_copy(update={"is_forked": True}), deadline_s)
        except DeadlineExceeded:
            return restored
        if forked.seen == restored.seen:
            self._checks.passed(rollout)
            return restored.model_copy(update={"check": "equal"})
        doubtful = self._checks.failed()
        _log.error(
            "restored_rollout_differs",
            state_id=rollout.state_id,
            restored=restored.metrics,
            forked=forked.metrics,
            doubtful=len(doubtful),
            consequence="this worker forks from now on; what it restored is done again",
        )
        return forked.model_copy(update={"check": "different", "doubtful": doubtful})

    def _without_doubt(
        self, rollouts: Sequence[Rollout], outcomes: list[RolloutOutcome], started_s: float
    ) -> list[RolloutOutcome]:
        """The outcomes of a batch; forks redo those that a failed check casts doubt on."""
        failed = next((n for n, outcome in enumerate(outcomes) if outcome.doubtful), None)
        if failed is None:
            return outcomes
        for number, rollout in enumerate(rollouts):
            if outcomes[number].made_by == "restore":
                outcomes[number] = self._outcome(rollout, started_s)
        own = set(map(id, rollouts))
        before = tuple(r for r in outcomes[failed].doubtful if id(r) not in own)
        outcomes[failed] = outcomes[failed].model_copy(update={"doubtful": before})
        return outcomes

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
            self._restore_in(holder, rollout)
            left_s = max(0.0, deadline_s - time.monotonic())
            limit_s = min(left_s, self._limits.rollout_timeout_s)
            how = {"limit_s": limit_s, "is_forked": rollout.is_forked or not self._is_restoring}
            with self._cancelled.noticed_by(holder, rollout.model_copy(update=how)):
                return holder.receive(RolloutOutcome, limit_s + _GRACE_S)
        except HolderLost:
            self._drop(rollout.simulation)
            raise
        except RolloutTimeout as exc:
            if time.monotonic() >= deadline_s:
                raise DeadlineExceeded("the deadline passed during the rollout") from exc
            raise

    def _restore_in(self, holder: SimulationHandle, rollout: Rollout) -> None:
        """Makes a holder restore its rollouts, if it should and does not do so yet."""
        if not self._checks.is_restoring:
            self._is_restoring = False
        if self._is_restoring and rollout.simulation not in self._kept:
            self._fork_server.keep(holder)
            self._kept.add(rollout.simulation)

    def _heed(self, reasons: Sequence[str]) -> None:
        """Uses forks from now on if processes cannot be restored here at all."""
        refused = next((reason for reason in reasons if reason.startswith("refused")), None)
        if refused is not None and self._checks.is_restoring:
            _log.warning("rollouts_are_forked", reason=refused)
            self._checks.stop()

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
        """Whether a simulation is open, or can be opened without further files."""
        if simulation in self._holders:
            return True
        source = self._sources.get(simulation)
        return source is not None and self._openings.suffices(source)

    def _shrink(self) -> None:
        """Drops the least recently used holders until the limits are met."""
        while len(self._holders) > 1 and (
            len(self._holders) > self._limits.max_holders or self._is_over_memory()
        ):
            key, held = self._holders.popitem(last=False)
            held.holder.close()
            self._closed(key)
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
            self._closed(key)

    def _closed(self, key: str) -> None:
        self._kept.discard(key)
        self._checks.closed(key)

    def _forget(self, key: str) -> None:
        source = self._sources.pop(key, None)
        if source is not None:
            source.remove()


def _last(rollout: Rollout) -> Rollout:
    """Marks a rollout as one after which no child is kept ready.

    Most states are requested once. One that is requested again keeps a child ready from then on.
    """
    return rollout.model_copy(update={"is_last": True})


def _sweep() -> None:
    """Removes the folders of workers that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)
