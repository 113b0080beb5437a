"""Opening a simulation of a state: from a file, or by a replay of its run, whichever is cheaper.

Both are exact for what a file was proven for, so the choice is the worker's and moves no number. A
file costs a start of SUMO and the reading of network and state; a replay, a fork of a checkpoint
and some stepping. Checkpoints of a run are added bit by bit while its states are opened from files,
so that whoever asks for a few states pays little for them, and whoever asks for many pays little
per state.
"""

import contextlib
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from shared.dataset import Action
from shared.errors import GreenforkError, RolloutRejected
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Look, Open, Replay, Rollout, Seen
from sim_workers.pool.checkpoints import CheckpointCache
from sim_workers.pool.rollout import StateFiles
from sim_workers.scenarios.scenario import CONFIG_NAME, write_files
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME, Demand

__all__ = ["Openings", "Source", "restoring_config"]

_STATE_NAME = "state.xml"
_FROM_FILES = 3
"""States of a run that are opened from files before it is given checkpoints: it may be the last."""
_GROWTH = 1.0
"""What is spent on checkpoints of a run, for each second spent on opening states of it from files:
at worst, opening has cost twice what it had to."""
_NEW_SHARE = 0.3
"""What the latest opening counts for in the average."""
_MAX_RUNS = 64
"""Runs whose actions are kept."""
_MAX_DEMANDS = 8
_Clock = Callable[[], float]


@dataclass(frozen=True)
class Source:
    """What a holder is opened from."""

    files: StateFiles
    """Without their contents, which are on the disk."""
    scenario: Path
    folder: Path | None
    """Where the state's file lies; None where there is none."""

    @property
    def file(self) -> Path | None:
        """The state's file."""
        return None if self.folder is None else self.folder / _STATE_NAME

    def exists(self) -> bool:
        """Whether the scenario's files are there, too."""
        return self.scenario.exists()

    def remove(self) -> None:
        """Removes what is this state's alone."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class Openings:
    """Opens simulations, and knows what that has cost.

    Args:
        fork_server: Starts them.
        checkpoints: Replays them.
        clock: Wall-clock seconds.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        checkpoints: CheckpointCache,
        clock: _Clock = time.monotonic,
    ) -> None:
        self._fork_server = fork_server
        self._checkpoints = checkpoints
        self._clock = clock
        self._recognised: set[str] = set()
        self._actions: OrderedDict[str, tuple[Action, ...]] = OrderedDict()
        self._file_s: dict[str, float] = {}
        self._opened: dict[str, int] = {}

    def unpack(self, folder: Path, simulation: str, files: StateFiles) -> Source:
        """Writes files down.

        Args:
            folder: For all scenarios and states.
            simulation: Of the rollouts; a name for a folder.
            files: What came.
        """
        scenario, own = folder / files.scenario_id, None
        if files.scenario is not None and not scenario.exists():
            write_files(scenario, files.scenario)
        if files.run_actions is not None:
            self._actions[files.run] = files.run_actions
            while len(self._actions) > _MAX_RUNS:
                self._actions.popitem(last=False)
        if files.state is not None and scenario.exists():
            own = folder / f"{simulation}.state"
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir()
            (own / _STATE_NAME).write_bytes(files.state)
        kept = replace(files, state=None, scenario=None, run_actions=None)
        return Source(kept, scenario, own)

    def suffices(self, source: Source) -> bool:
        """Whether a simulation is to be opened from what is there, without further files."""
        if not source.exists():
            return False
        files = source.files
        return source.file is not None or not files.has_file or self._is_cheaper(files)

    def open(self, rollout: Rollout, source: Source, left_s: _Clock) -> SimulationHandle:
        """A simulation of a rollout's state.

        Raises:
            RolloutRejected: SUMO refuses it; ``environment_differs``: SUMO computes something else
                here than where the dataset was built.
            HolderLost: A process died, or there was no time left.
        """
        files = source.files
        if files.landmark is not None and files.run not in self._recognised:
            self._recognise(source, left_s)
        replay, digest = files.replay, files.digest
        if self._is_replayed(source):
            replay, digest = self._from_begin(files), files.origin_digest
            holder = self._checkpoints.fork_at(files.run, _begin(source), replay, left_s)
        elif source.file is not None:
            holder = self._from_file(rollout, source, source.file, left_s)
        elif replay is not None:
            holder = self._checkpoints.fork_at(files.run, _begin(source), replay, left_s)
        else:
            holder = self._fork_server.open(_begin(source), left_s())
        if digest is not None:
            _compare(holder, digest, f"state {rollout.state_id}", left_s)
        return holder

    def _is_replayed(self, source: Source) -> bool:
        """Whether a state is replayed although there is a file for it."""
        files = source.files
        if source.file is None:  # there was none to be waited for when it came
            return files.has_file and files.run in self._actions
        return self._is_cheaper(files)

    def _is_cheaper(self, files: StateFiles) -> bool:
        """Whether replaying is quicker than loading a file, as far as is known."""
        if files.origin_s is None or files.run not in self._actions:
            return False
        replay_s = self._checkpoints.expected_s(files.run, files.origin_s)
        file_s = self._file_s.get(files.scenario_id)
        return replay_s is not None and file_s is not None and replay_s < file_s

    def _from_begin(self, files: StateFiles) -> Replay:
        """What leads from the begin of the run to the state."""
        assert files.origin_s is not None, "asked only where there is one"  # noqa: S101
        return Replay(to_s=files.origin_s, actions=self._actions[files.run])

    def _from_file(
        self, rollout: Rollout, source: Source, file: Path, left_s: _Clock
    ) -> SimulationHandle:
        began_s, files = self._clock(), source.files
        request = Open(
            config=str(restoring_config(source.scenario, file.parent, files.read)),
            seed=files.seed if rollout.reseed is None else rollout.reseed,
            scale=files.scale,
            state_file=str(file),
            reads=(str(source.scenario),),
            replay=files.replay,
        )
        holder = self._fork_server.open(request, left_s())
        took_s = self._clock() - began_s
        known_s = self._file_s.get(files.scenario_id, took_s)
        self._file_s[files.scenario_id] = known_s + _NEW_SHARE * (took_s - known_s)
        if files.origin_s is not None and files.run in self._actions:
            self._grow(source, took_s, left_s)
        return holder

    def _grow(self, source: Source, took_s: float, left_s: _Clock) -> None:
        """Adds to the checkpoints of a run of which states are opened from files."""
        files = source.files
        self._opened[files.run] = self._opened.get(files.run, 0) + 1
        if self._opened[files.run] >= _FROM_FILES:
            with contextlib.suppress(GreenforkError):  # the state itself has been opened
                replay = self._from_begin(files)
                budget_s = _GROWTH * took_s
                self._checkpoints.grow(files.run, _begin(source), replay, budget_s, left_s)

    def _recognise(self, source: Source, left_s: _Clock) -> None:
        """Makes sure, once, that a run is here what it was where it was built.

        Raises:
            RolloutRejected: ``environment_differs``: it is not.
        """
        files, landmark = source.files, source.files.landmark
        assert landmark is not None, "asked only where there is one"  # noqa: S101
        holder = self._checkpoints.fork_at(files.run, _begin(source), landmark, left_s)
        _compare(holder, files.landmark_digest, f"the run at {landmark.to_s:g} s", left_s)
        holder.close()
        self._recognised.add(files.run)


def _begin(source: Source) -> Open:
    """Opens the run that a state is of."""
    config, files = str(source.scenario / CONFIG_NAME), source.files
    return Open(config=config, seed=files.seed, scale=files.scale)


def restoring_config(scenario: Path, folder: Path, read: Mapping[str, int] | None) -> Path:
    """The configuration that continues a state."""
    if (scenario / RESTORE_CONFIG_NAME).exists():  # a dataset of version 0.1
        return scenario / RESTORE_CONFIG_NAME
    if read is None:
        return scenario / CONFIG_NAME
    written = folder / "restoring"
    if written.exists():  # it is opened once more
        return written / RESTORE_CONFIG_NAME
    return _demand_of(scenario).write_restoring(written, read)


@lru_cache(maxsize=_MAX_DEMANDS)
def _demand_of(scenario: Path) -> Demand:
    """What is the same for all states of a scenario is read once."""
    return Demand(scenario)


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
