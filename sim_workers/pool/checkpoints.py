"""Replaying runs in bounded time: simulations that wait at regular moments of a run.

A state that its file does not restore exactly is brought back by replaying its run. On the way a
simulation is left behind every 300 seconds: a fork of the last one before a state is as exact as
starting at the run's begin, and is at most that far away.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import HolderLost
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Open, Ready, Replay

__all__ = ["CheckpointCache", "Held"]

_SPACING_S = 300.0
_SPAWN_LIMIT_S = 10.0
"""A fork takes milliseconds; a checkpoint that does not answer for so long is dead."""
_Clock = Callable[[], float]


@dataclass(frozen=True)
class Held:
    """A simulation that is kept."""

    holder: SimulationHandle
    memory_mb: float
    """Its own memory, as measured when it was made."""


class CheckpointCache:
    """The checkpoints of any number of runs; the least recently used are let go.

    Args:
        fork_server: Starts the simulations.
        max_checkpoints: How many are kept.
    """

    def __init__(self, fork_server: ForkServer, max_checkpoints: int) -> None:
        self._fork_server = fork_server
        self._max_checkpoints = max_checkpoints
        self._checkpoints: OrderedDict[tuple[str, float], Held] = OrderedDict()

    @property
    def memory_mb(self) -> float:
        """The checkpoints' own memory, as measured when each was made, MB."""
        return sum(checkpoint.memory_mb for checkpoint in self._checkpoints.values())

    def fork_at(self, run: str, begin: Open, replay: Replay, left_s: _Clock) -> SimulationHandle:
        """A new holder of a run at a moment.

        Args:
            run: Equal for equal runs.
            begin: How the run is started.
            replay: The moment, and what was decided before it.
            left_s: Wall-clock seconds that are left for it.

        Raises:
            RolloutRejected: SUMO refuses the scenario.
            HolderLost: A process died, or there was no time left.
        """
        time_s = self._nearest(run, replay.to_s)
        if time_s is None:
            holder = self._fork_server.open(begin, left_s())
            time_s = holder.time_s(left_s())
            self._keep(run, time_s, holder)
        while (next_s := time_s + _SPACING_S) < replay.to_s:
            self._keep(run, next_s, self._step(run, time_s, next_s, replay, left_s))
            time_s = next_s
        return self._step(run, time_s, replay.to_s, replay, left_s)

    def let_go(self) -> bool:
        """Ends the least recently used checkpoint; False if there is none."""
        if not self._checkpoints:
            return False
        self._shrink(len(self._checkpoints) - 1)
        return True

    def _forget(self, run: str) -> None:
        """Ends every checkpoint of a run."""
        for key in [key for key in self._checkpoints if key[0] == run]:
            self._checkpoints.pop(key).holder.kill()

    def close(self) -> None:
        """Ends every checkpoint."""
        self._shrink(0)

    def _nearest(self, run: str, time_s: float) -> float | None:
        """The time of the last checkpoint that is not after ``time_s``."""
        return max(
            (at for name, at in self._checkpoints if name == run and at <= time_s), default=None
        )

    def _step(
        self, run: str, from_s: float, to_s: float, replay: Replay, left_s: _Clock
    ) -> SimulationHandle:
        """A fork of a checkpoint, replayed further.

        If time runs out, the checkpoints so far stay, and the next fork goes on from there.
        """
        self._checkpoints.move_to_end((run, from_s))
        try:
            holder = self._checkpoints[run, from_s].holder.spawn(_SPAWN_LIMIT_S)
        except HolderLost:
            self._forget(run)
            raise
        actions = tuple(a for a in replay.actions if from_s <= a.time_s < to_s)
        try:
            holder.call(Replay(to_s=to_s, actions=actions), Ready, left_s())
        except BaseException:
            holder.kill()
            raise
        return holder

    def _keep(self, run: str, time_s: float, holder: SimulationHandle) -> None:
        self._checkpoints[run, time_s] = Held(holder, holder.own_memory_mb())
        self._shrink(self._max_checkpoints)

    def _shrink(self, count: int) -> None:
        while len(self._checkpoints) > count:
            self._checkpoints.popitem(last=False)[1].holder.close()
