"""What one worker does: hold simulations of states and fork rollouts off them.

Knows nothing of Ray; :mod:`sim_workers.actor` puts it into an actor.
"""

import os
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import (
    DeadlineExceeded,
    ErrorInfo,
    GreenforkError,
    HolderLost,
    RolloutTimeout,
)
from shared.rewards import Metrics
from sim_workers.messages import Open, RolledOut, Rollout
from sim_workers.processes import Holder, Nursery
from sim_workers.scenarios import RESTORE_CONFIG_NAME

__all__ = ["Bundle", "StateRef", "StateWorker", "WorkerLimits", "WorkerRollout"]

_FOLDER_PREFIX = "greenfork-worker-"
_GRACE_S = 5.0
"""How much longer than its rollout a holder may take to answer before it is given up."""


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


@dataclass(frozen=True)
class Bundle:
    """The files behind a state, for a worker that does not share a disk with the gateway."""

    state: bytes
    scenario: Mapping[str, bytes] | None
    """By file name; None where the worker has the scenario already."""


@dataclass(frozen=True)
class WorkerRollout:
    """One rollout as a worker gets it."""

    tls_id: str
    phase_remaining_s: float | None
    horizon_s: int
    remaining_s: float
    """Wall-clock seconds until the caller's deadline, when the batch is sent."""


class StateWorker:
    """Scores batches of rollouts, each batch of one state. Not thread-safe.

    Holders are kept, least recently used last, within the limits. One that dies is rebuilt once;
    if it dies again over the same rollout, that is reported.
    """

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        self._nursery = Nursery()
        self._holders: OrderedDict[str, _Held] = OrderedDict()
        self.holder_starts = 0

    def run(
        self, ref: StateRef, rollouts: Sequence[WorkerRollout], bundle: Bundle | None
    ) -> list[Metrics | ErrorInfo] | None:
        """The outcome of each rollout, in order; None if the files are needed and not given."""
        started_s = time.monotonic()
        if bundle is not None:
            self._unpack(ref, bundle)
        if not self._has_files(ref):
            return None
        return [self._outcome(ref, rollout, started_s) for rollout in rollouts]

    def close(self) -> None:
        """Ends every holder and removes the files."""
        for held in self._holders.values():
            held.holder.close()
        self._holders.clear()
        self._nursery.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _outcome(
        self, ref: StateRef, rollout: WorkerRollout, started_s: float
    ) -> Metrics | ErrorInfo:
        deadline_s = started_s + rollout.remaining_s
        try:
            try:
                return self._roll_out(ref, rollout, deadline_s)
            except HolderLost:
                self._drop(ref.state_id)
                return self._roll_out(ref, rollout, deadline_s)
        except HolderLost as exc:
            self._drop(ref.state_id)
            return ErrorInfo.of(exc)
        except GreenforkError as exc:
            return ErrorInfo.of(exc)

    def _roll_out(self, ref: StateRef, rollout: WorkerRollout, deadline_s: float) -> Metrics:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the rollout could start")
        holder = self._hold(ref, left_s)
        limit_s = min(deadline_s - time.monotonic(), self._limits.rollout_timeout_s)
        request = Rollout(
            tls_id=rollout.tls_id,
            phase_remaining_s=rollout.phase_remaining_s,
            horizon_s=rollout.horizon_s,
            limit_s=max(0.0, limit_s),
        )
        try:
            return holder.call(request, RolledOut, request.limit_s + _GRACE_S).metrics
        except RolloutTimeout as exc:
            if time.monotonic() >= deadline_s:
                raise DeadlineExceeded("the deadline passed during the rollout") from exc
            raise

    def _hold(self, ref: StateRef, limit_s: float) -> Holder:
        """The holder of a state, opened if there is none."""
        if ref.state_id in self._holders:
            self._holders.move_to_end(ref.state_id)
            return self._holders[ref.state_id].holder
        self.holder_starts += 1
        config = self._scenario_folder(ref) / RESTORE_CONFIG_NAME
        request = Open(
            config=str(config), seed=ref.seed, state_file=str(self._state_file(ref.state_id))
        )
        holder = self._nursery.open(request, limit_s)
        self._holders[ref.state_id] = _Held(holder, holder.own_memory_mb())
        self._shrink()
        return holder

    def _shrink(self) -> None:
        """Lets the least recently used holders go until the limits are kept."""
        while len(self._holders) > 1 and (
            len(self._holders) > self._limits.max_holders
            or sum(h.memory_mb for h in self._holders.values()) > self._limits.max_holder_memory_mb
        ):
            state_id, held = self._holders.popitem(last=False)
            held.holder.close()
            self._state_file(state_id).unlink(missing_ok=True)

    def _drop(self, state_id: str) -> None:
        held = self._holders.pop(state_id, None)
        if held is not None:
            held.holder.kill()

    def _has_files(self, ref: StateRef) -> bool:
        return self._state_file(ref.state_id).exists() and self._scenario_folder(ref).exists()

    def _unpack(self, ref: StateRef, bundle: Bundle) -> None:
        folder = self._scenario_folder(ref)
        if bundle.scenario is not None and not folder.exists():
            folder.mkdir()
            for name, content in bundle.scenario.items():
                (folder / name).write_bytes(content)
        self._state_file(ref.state_id).write_bytes(bundle.state)

    def _state_file(self, state_id: str) -> Path:
        return self._folder / f"{state_id}.xml"

    def _scenario_folder(self, ref: StateRef) -> Path:
        return self._folder / ref.scenario_id


def _sweep() -> None:
    """Removes the folders of workers that were killed and could not."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Held:
    holder: Holder
    memory_mb: float
