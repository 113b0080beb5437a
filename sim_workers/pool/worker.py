"""What one worker does: hold simulations of states and fork rollouts off them.

Knows nothing of Ray; :mod:`sim_workers.pool.actor` puts it into an actor.
"""

import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.dataset import Action
from shared.errors import (
    DeadlineExceeded,
    ErrorInfo,
    GreenforkError,
    HolderLost,
    RolloutRejected,
    RolloutTimeout,
)
from shared.rewards import FollowUp, Metrics
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Look, Open, Replay, RolledOut, Rollout, Seen, SignalDecision
from sim_workers.pool.cancellations import Cancellations
from sim_workers.pool.checkpoints import CheckpointCache
from sim_workers.pool.sources import Source
from sim_workers.scenarios.scenario import CONFIG_NAME, write_files
from sim_workers.states.state_file import without_rng
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME, Demand

__all__ = ["Bundle", "StateRef", "StateWorker", "WorkerLimits", "WorkerOutcome", "WorkerRollout"]

_log = structlog.get_logger(__name__)
_Clock = Callable[[], float]

_FOLDER_PREFIX = "greenfork-worker-"
_GRACE_S = 5.0
"""How much longer than its rollout a holder may take to answer before it is given up."""
_LEAST_MEMORY_MB = 4096.0
"""What one simulation may take in any case: holders are let go by a bound, not refused."""
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


@dataclass(frozen=True)
class StateRef:
    """Which simulation to hold."""

    state_id: str
    scenario_id: str
    seed: int
    scale: float
    time_s: float
    run: str
    """Equal for states of the same run."""
    source: Source
    """What is opened: the state's own file, or a replay from its anchor or from the run's begin."""
    reseed: int | None = None
    """Continue the file under this seed instead, with every random generator started anew."""
    digest: str | None = None
    """Of where everything was, 16 hex digits, for a replay to be compared with."""

    @property
    def key(self) -> str:
        """Equal for equal simulations; safe in a file name."""
        source = "" if self.source == "file" else f"-{self.source}"
        seed = "" if self.reseed is None else f"-seed{self.reseed}"
        return f"{self.state_id}{source}{seed}"


@dataclass(frozen=True)
class Bundle:
    """The files behind a state, for a worker that does not share a disk with the gateway."""

    state: bytes | None
    """The file to load: the state's, or its anchor's; None begins the run."""
    read: Mapping[str, int] | None
    """How far the run had read its demand then; see :class:`shared.wire.states.StateRecord`."""
    actions: tuple[Action, ...]
    """What a replay repeats."""
    scenario: Mapping[str, bytes] | None
    """By file name; None where the worker has the scenario already."""
    landmark: "Landmark | None" = None
    """By which a simulation of the run is recognised, where it may be another one here."""


@dataclass(frozen=True)
class Landmark:
    """A moment of a run."""

    time_s: float
    digest: str
    """Of where everything is, 16 hex digits."""
    actions: tuple[Action, ...]
    """What the run's policy did before."""


@dataclass(frozen=True)
class WorkerRollout:
    """One rollout as a worker gets it."""

    signal_decisions: tuple[SignalDecision, ...]
    observe: tuple[str, ...]
    horizon_s: int
    follow_up: FollowUp
    remaining_s: float
    """Wall-clock seconds until the caller's deadline, when the batch is sent."""
    ticket: int
    """By which it can be cancelled."""
    request_id: str
    """The request that asked first, for the logs."""


@dataclass(frozen=True)
class WorkerOutcome:
    """What became of one rollout of a batch."""

    result: Metrics | ErrorInfo
    waited_s: float
    """Wall-clock seconds since the batch came, until its turn."""
    ran_s: float


class StateWorker:
    """Scores batches of rollouts, each batch of one state.

    One thread runs and closes; another one may :meth:`cancel` meanwhile.

    Holders are kept, least recently used last, within the limits. One that dies is rebuilt once;
    if it dies again over the same rollout, that is reported.
    """

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        most_mb = max(limits.max_holder_memory_mb, _LEAST_MEMORY_MB)
        self._fork_server = ForkServer(round(most_mb * 2**20))
        self._checkpoints = CheckpointCache(self._fork_server, limits.max_holders)
        self._sources: dict[str, _Source] = {}
        self._holders: OrderedDict[str, _Held] = OrderedDict()
        self._recognised: set[str] = set()
        self._cancelled = Cancellations()
        self._turn = threading.Lock()
        self.holder_starts = 0

    def run(
        self, ref: StateRef, rollouts: Sequence[WorkerRollout], bundle: Bundle | None
    ) -> list[WorkerOutcome] | None:
        """The outcome of each rollout, in order; None if the files are needed and not given."""
        started_s = time.monotonic()
        with self._turn, self._cancelled.forgotten_afterwards():
            if bundle is not None:
                self._unpack(ref, bundle)
            if ref.key not in self._sources or not self._scenario_folder(ref).exists():
                return None
            return [self._outcome(ref, rollout, started_s) for rollout in rollouts]

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

    def _outcome(self, ref: StateRef, rollout: WorkerRollout, started_s: float) -> WorkerOutcome:
        begun_s = time.monotonic()
        result: Metrics | ErrorInfo
        try:
            result = self._try_twice(ref, rollout, started_s + rollout.remaining_s)
        except GreenforkError as exc:
            result = ErrorInfo.of(exc)
            words = {"state_id": ref.state_id, "code": exc.code, "reason": exc.message}
            _log.warning("rollout_failed", request_id=rollout.request_id, **words)
        return WorkerOutcome(result, begun_s - started_s, time.monotonic() - begun_s)

    def _try_twice(self, ref: StateRef, rollout: WorkerRollout, deadline_s: float) -> Metrics:
        try:
            return self._roll_out(ref, rollout, deadline_s)
        except HolderLost:
            self._drop(ref.key)
        try:
            return self._roll_out(ref, rollout, deadline_s)
        except HolderLost:
            self._drop(ref.key)
            raise

    def _roll_out(self, ref: StateRef, rollout: WorkerRollout, deadline_s: float) -> Metrics:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the rollout could start")
        self._cancelled.check(rollout.ticket)
        holder = self._hold(ref, left_s)
        limit_s = min(deadline_s - time.monotonic(), self._limits.rollout_timeout_s)
        request = Rollout(
            signal_decisions=rollout.signal_decisions,
            observe=rollout.observe,
            horizon_s=rollout.horizon_s,
            follow_up=rollout.follow_up,
            limit_s=max(0.0, limit_s),
            ticket=rollout.ticket,
            request_id=rollout.request_id,
        )
        try:
            with self._cancelled.noticed_by(holder, request):
                return holder.receive(RolledOut, request.limit_s + _GRACE_S).metrics
        except RolloutTimeout as exc:
            if time.monotonic() >= deadline_s:
                raise DeadlineExceeded("the deadline passed during the rollout") from exc
            raise

    def _hold(self, ref: StateRef, limit_s: float) -> SimulationHandle:
        """The holder of a state, opened if there is none."""
        if ref.key in self._holders:
            self._holders.move_to_end(ref.key)
            return self._holders[ref.key].holder
        self.holder_starts += 1
        until_s = time.monotonic() + limit_s
        holder = self._open(ref, lambda: max(0.0, until_s - time.monotonic()))
        self._holders[ref.key] = _Held(holder, _PROCESSES * holder.own_memory_mb())
        self._shrink()
        return holder

    def _open(self, ref: StateRef, left_s: _Clock) -> SimulationHandle:
        source = self._sources[ref.key]
        if source.landmark is not None:
            self._recognise(ref, source.landmark, left_s)
        holder = self._open_source(ref, source, left_s)
        if ref.digest is not None:
            _compare(holder, ref.digest, f"state {ref.state_id}", left_s)
        return holder

    def _open_source(self, ref: StateRef, source: "_Source", left_s: _Clock) -> SimulationHandle:
        request = Open(
            config=str(source.config),
            seed=ref.seed if ref.reseed is None else ref.reseed,
            scale=ref.scale,
            state_file=None if source.file is None else str(source.file),
            reads=(str(self._scenario_folder(ref)),),
        )
        if ref.source == "file":
            return self._fork_server.open(request, left_s())
        replay = Replay(to_s=ref.time_s, actions=source.actions)
        if ref.source == "anchor":
            return self._fork_server.open(request.model_copy(update={"replay": replay}), left_s())
        return self._checkpoints.fork_at(ref.run, request, replay, left_s)

    def _recognise(self, ref: StateRef, landmark: Landmark, left_s: _Clock) -> None:
        """Makes sure, once, that a run is here what it was where it was built.

        Raises:
            RolloutRejected: ``environment_differs``: it is not.
        """
        if ref.run in self._recognised:
            return
        config = str(self._scenario_folder(ref) / CONFIG_NAME)
        begin = Open(config=config, seed=ref.seed, scale=ref.scale)
        replay = Replay(to_s=landmark.time_s, actions=landmark.actions)
        holder = self._checkpoints.fork_at(ref.run, begin, replay, left_s)
        _compare(holder, landmark.digest, f"the run at {landmark.time_s:g} s", left_s)
        holder.close()
        self._recognised.add(ref.run)

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

    def _unpack(self, ref: StateRef, bundle: Bundle) -> None:
        folder = self._scenario_folder(ref)
        if bundle.scenario is not None and not folder.exists():
            write_files(folder, bundle.scenario)
        if not folder.exists():
            return  # the caller is asked for all of it
        file, config = None, folder / CONFIG_NAME
        if bundle.state is not None:
            self._forget(ref.key)
            own = self._folder / f"{ref.key}.state"
            own.mkdir()
            file = own / "state.xml"
            file.write_bytes(bundle.state if ref.reseed is None else without_rng(bundle.state))
            config = _restoring(folder, own, bundle.read)
        self._sources[ref.key] = _Source(config, file, bundle.actions, bundle.landmark)

    def _forget(self, key: str) -> None:
        source = self._sources.pop(key, None)
        if source is not None and source.file is not None:
            shutil.rmtree(source.file.parent, ignore_errors=True)

    def _scenario_folder(self, ref: StateRef) -> Path:
        return self._folder / ref.scenario_id


def _restoring(scenario: Path, folder: Path, read: Mapping[str, int] | None) -> Path:
    """The configuration that continues a state."""
    if (scenario / RESTORE_CONFIG_NAME).exists():  # a dataset of version 0.1
        return scenario / RESTORE_CONFIG_NAME
    if read is None:
        return scenario / CONFIG_NAME
    return Demand(scenario).write_restoring(folder / "restoring", read)


def _compare(holder: SimulationHandle, digest: str, what: str, left_s: _Clock) -> None:
    """Makes sure that a simulation is where it was when it was built.

    Raises:
        RolloutRejected: ``environment_differs``: it is not.
    """
    if holder.call(Look(), Seen, left_s()).digest != digest:
        holder.kill()
        raise RolloutRejected(
            f"{what} differs from the dataset's build: SUMO computes another simulation on this "
            "machine or in this environment, so nothing is scored on it",
            "environment_differs",
        )


def _sweep() -> None:
    """Removes the folders of workers that were killed and could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Source:
    """What a holder is opened from."""

    config: Path
    file: Path | None
    actions: tuple[Action, ...]
    landmark: Landmark | None


@dataclass(frozen=True)
class _Held:
    holder: SimulationHandle
    memory_mb: float
