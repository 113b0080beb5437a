"""Replaying runs in bounded time: simulations that wait at moments of a run.

A run is simulated once, and on the way copies of it stay behind: its *checkpoints*. A fork of the
last one before a moment, replayed up to there, is as exact as starting at the run's begin. The
simulation that moves on is always the same process, the run's last checkpoint: were each a fork of
the one before, forking would take longer the later in the run (docs/adr/0019).
"""

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.dataset import Action
from shared.errors import HolderLost
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Open, Ready, Replay

__all__ = ["CheckpointCache", "Held"]

_FIRST_SPACING_S = 60.0
_MIN_SPACING_S, _MAX_SPACING_S = 30.0, 300.0
_SPAWNS = 3.0
"""A replay from one checkpoint to the next should take as long as so many forks at most: closer
checkpoints would save little of what a fork costs anyway, and take memory."""
_SPAWN_LIMIT_S = 10.0
"""A fork takes milliseconds; a checkpoint that does not answer for so long is dead."""
_NEW_SHARE = 0.3
"""What the latest measurement counts for in an average."""
_IDLE_USES = 100
"""A run is no longer in use when so many simulations of others have been asked for since."""
_Clock = Callable[[], float]


@dataclass(frozen=True)
class Held:
    """A simulation that is kept."""

    holder: SimulationHandle
    memory_mb: float
    """Its own memory, as measured when it was made."""


@dataclass(eq=False)
class _Ladder:
    """The checkpoints of one run, by time in seconds, in order."""

    held: dict[float, Held] = field(default_factory=dict)
    last_use: int = 0
    wanted_s: float = 0.0
    """The latest moment that was asked for."""
    credit_s: float = 0.0
    """Wall-clock seconds that may be spent on further checkpoints."""
    step_s: float | None = None
    """Wall-clock seconds that a simulated one takes, lately; None: not known yet."""
    spawn_s: float = 0.0
    """Wall-clock seconds that a fork takes, lately."""

    @property
    def end_s(self) -> float:
        """Where the simulation is that moves on."""
        return next(reversed(self.held))

    @property
    def spacing_s(self) -> float:
        """How far the next checkpoint is from the last one."""
        if self.step_s is None:
            return _FIRST_SPACING_S
        wanted_s = float(round(_SPAWNS * self.spawn_s / self.step_s))
        return min(max(_MIN_SPACING_S, wanted_s), _MAX_SPACING_S)

    def before(self, time_s: float) -> float:
        """The time of the last checkpoint that is not after ``time_s``, or of the first."""
        times_s = list(self.held)
        return times_s[max(0, bisect_right(times_s, time_s) - 1)]

    def least_needed(self) -> float | None:
        """The checkpoint that is missed least: its neighbours are close. Both ends are needed."""
        times_s = list(self.held)
        gaps_s = {
            time_s: after_s - before_s
            for before_s, time_s, after_s in zip(times_s, times_s[1:], times_s[2:], strict=False)
        }
        return min(gaps_s, key=gaps_s.__getitem__, default=None)


class CheckpointCache:
    """The checkpoints of any number of runs.

    Beyond the limits, runs that nobody asks for any more are let go; then the run that has most
    loses the checkpoint whose neighbours are closest.

    Args:
        fork_server: Starts the simulations.
        max_checkpoints: How many are kept.
        max_memory_mb: What they may take together, as measured when each was made, MB.
        clock: Wall-clock seconds.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        max_checkpoints: int,
        max_memory_mb: float = float("inf"),
        clock: _Clock = time.monotonic,
    ) -> None:
        self._fork_server = fork_server
        self._max_checkpoints = max_checkpoints
        self._max_memory_mb = max_memory_mb
        self._clock = clock
        self._ladders: OrderedDict[str, _Ladder] = OrderedDict()
        self._uses = 0

    def __len__(self) -> int:
        return sum(len(ladder.held) for ladder in self._ladders.values())

    @property
    def memory_mb(self) -> float:
        """The checkpoints' own memory, as measured when each was made, MB."""
        return sum(
            held.memory_mb for ladder in self._ladders.values() for held in ladder.held.values()
        )

    def expected_s(self, run: str, time_s: float) -> float | None:
        """Wall-clock seconds that :meth:`fork_at` is going to take; None where nobody knows."""
        ladder = self._ladders.get(run)
        if ladder is None or ladder.step_s is None:
            return None
        before_s = ladder.before(time_s)
        if before_s > time_s:
            return None
        passed = max(0.0, time_s - ladder.end_s) // ladder.spacing_s
        return (1 + passed) * ladder.spawn_s + (time_s - before_s) * ladder.step_s

    def fork_at(self, run: str, begin: Open, replay: Replay, left_s: _Clock) -> SimulationHandle:
        """A new holder of a run at a moment.

        Args:
            run: Equal for equal runs.
            begin: How the run is started.
            replay: The moment, and what was decided before it.
            left_s: Wall-clock seconds that are left for it.

        Raises:
            RolloutRejected: SUMO refuses the scenario.
            HolderLost: A process died, or there was no time left. The checkpoints so far stay, and
                the next call goes on from there.
        """
        try:
            return self._fork_at(run, begin, replay, left_s)
        except HolderLost:
            if run in self._ladders:  # no checkpoint had died: there was no time left
                raise
            return self._fork_at(run, begin, replay, left_s)

    def _fork_at(self, run: str, begin: Open, replay: Replay, left_s: _Clock) -> SimulationHandle:
        ladder = self._begun(run, begin, replay.to_s, left_s)
        self._shrink(run)
        while (next_s := ladder.end_s + ladder.spacing_s) < replay.to_s:
            self._advance(run, ladder, next_s, replay.actions, left_s)
            self._shrink(run)
        from_s = ladder.before(replay.to_s)
        holder = self._copy(run, ladder, from_s)
        self._move(ladder, holder, from_s, replay.to_s, replay.actions, left_s)
        return holder

    def grow(self, run: str, begin: Open, replay: Replay, budget_s: float, left_s: _Clock) -> None:
        """Adds checkpoints on the way to a moment, for others that may be asked for.

        Args:
            run: As for :meth:`fork_at`.
            begin: Likewise.
            replay: Up to where, and what was decided before.
            budget_s: Wall-clock seconds that may be spent; what is left over counts the next time.
            left_s: Wall-clock seconds that are left for the rest of the work.
        """
        if not self._has_room(run):
            return
        began_s = self._clock()
        ladder = self._begun(run, begin, replay.to_s, left_s)
        ladder.wanted_s = max(ladder.wanted_s, replay.to_s)
        ladder.credit_s += budget_s - (self._clock() - began_s)
        while ladder.credit_s > 0:
            next_s = ladder.end_s + ladder.spacing_s
            if next_s > ladder.wanted_s or not self._has_room(run):
                break
            began_s = self._clock()
            self._advance(run, ladder, next_s, replay.actions, left_s)
            ladder.credit_s -= self._clock() - began_s

    def let_go(self) -> bool:
        """Ends the checkpoint that is missed least; False if there is none."""
        if not self._ladders:
            return False
        self._drop_one()
        return True

    def close(self) -> None:
        """Ends every checkpoint."""
        for run in list(self._ladders):
            self._close(run)

    def _begun(self, run: str, begin: Open, time_s: float, left_s: _Clock) -> _Ladder:
        """The run's ladder, which has a checkpoint before a moment; starts the run if need be."""
        self._uses += 1
        ladder = self._ladders.get(run)
        if ladder is None or ladder.before(time_s) > time_s:
            holder = self._fork_server.open(begin, left_s())
            first = {holder.time_s(left_s()): Held(holder, holder.own_memory_mb())}
            ladder = ladder or _Ladder()
            ladder.held = first | ladder.held
            self._ladders[run] = ladder
        self._ladders.move_to_end(run)
        ladder.last_use = self._uses
        return ladder

    def _advance(
        self, run: str, ladder: _Ladder, to_s: float, actions: Sequence[Action], left_s: _Clock
    ) -> None:
        """Moves the last checkpoint on; a copy stays in its place."""
        from_s = ladder.end_s
        moving = ladder.held[from_s]
        copy = self._copy(run, ladder, from_s)
        ladder.held[from_s] = Held(copy, 0.0)
        now_s = self._move(ladder, moving.holder, from_s, to_s, actions, left_s)
        # What has moved has pages of its own now, and what it left behind is the copy's alone.
        ladder.held[from_s] = Held(copy, copy.own_memory_mb())
        ladder.held[now_s] = moving

    def _copy(self, run: str, ladder: _Ladder, time_s: float) -> SimulationHandle:
        began_s = self._clock()
        try:
            copy = ladder.held[time_s].holder.spawn(_SPAWN_LIMIT_S)
        except HolderLost:
            self._close(run)
            raise
        ladder.spawn_s = _averaged(ladder.spawn_s or None, self._clock() - began_s)
        return copy

    def _move(
        self,
        ladder: _Ladder,
        holder: SimulationHandle,
        from_s: float,
        to_s: float,
        actions: Sequence[Action],
        left_s: _Clock,
    ) -> float:
        """Replays a simulation further, and returns where it is."""
        began_s = self._clock()
        due = tuple(a for a in actions if from_s <= a.time_s < to_s)
        try:
            now_s = holder.call(Replay(to_s=to_s, actions=due), Ready, left_s()).time_s
        except BaseException:
            holder.kill()
            raise
        if to_s - from_s >= _MIN_SPACING_S:
            took_s = (self._clock() - began_s) / (to_s - from_s)
            ladder.step_s = _averaged(ladder.step_s, took_s)
        return now_s

    def _has_room(self, run: str) -> bool:
        """Makes room for another checkpoint of a run, from what is missed least."""
        while self._is_over(1):
            idle = self._idle(run)
            if idle is not None:
                self._close(idle)
            elif not self._thin_out():
                return False
        return True

    def _is_over(self, more: int = 0) -> bool:
        count = len(self) + more
        return count > self._max_checkpoints or self.memory_mb > self._max_memory_mb

    def _idle(self, run: str) -> str | None:
        """The run that has been idle longest, if that is long."""
        first = next(iter(self._ladders), run)
        if first == run or self._uses - self._ladders[first].last_use < _IDLE_USES:
            return None
        return first

    def _shrink(self, run: str) -> None:
        """Keeps to the limits, but for a single checkpoint: that of the run in use."""
        while len(self) > 1 and self._is_over():
            idle = self._idle(run)
            if idle is not None:
                self._close(idle)
            else:
                self._drop_one()

    def _drop_one(self) -> None:
        """Ends the checkpoint that is missed least, or one of the run least recently used."""
        if not self._thin_out():
            run, ladder = next(iter(self._ladders.items()))
            ladder.held.pop(next(iter(ladder.held))).holder.close()
            if not ladder.held:
                del self._ladders[run]

    def _thin_out(self) -> bool:
        """Ends a checkpoint between two others, of the run that has most; False if none is."""
        ladder = max(self._ladders.values(), key=lambda ladder: len(ladder.held), default=None)
        time_s = None if ladder is None else ladder.least_needed()
        if ladder is None or time_s is None:
            return False
        ladder.held.pop(time_s).holder.close()
        return True

    def _close(self, run: str) -> None:
        """Ends every checkpoint of a run."""
        for held in self._ladders.pop(run).held.values():
            held.holder.close()


def _averaged(known: float | None, new: float) -> float:
    return new if known is None else known + _NEW_SHARE * (new - known)
