"""Finding out how a saved state is brought back exactly: from its file, or by a replay.

Three ways are tried, the one that is cheapest to serve first. The last cannot fail unless the
simulation does not repeat itself at all, which is an error.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.dataset import Action
from shared.errors import HolderLost, RolloutCrashed, RolloutError, RolloutRejected
from shared.wire.states import Restore
from sim_workers.datasets.proof import Proof
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Open, Ready, Replay
from sim_workers.states.simulation_spec import SimulationSpec

__all__ = ["FoundState", "Restoration", "Restorer", "StateFile"]

_FEW = 8
"""Up to so many rollouts, making a process that can be put back costs more than it saves."""
_LIMIT_S = 600.0
_MAX_REPLAY_S = 600.0
"""Anchors are no older than this: a holder should not take longer to open than a replay of it."""


@dataclass(frozen=True)
class StateFile:
    """A state of the run, and where its file lies."""

    state_id: str
    path: Path
    time_s: float
    read: Mapping[str, int] | None
    """How far the run had read its demand; None: its file cannot be continued."""


@dataclass(frozen=True)
class FoundState(StateFile):
    """A state of the live simulation, and what was seen of it."""

    digest: str
    """Of where everything was."""
    actions: tuple[Action, ...]
    """What the policy did since the state before, in order."""
    proof: Proof


@dataclass(frozen=True)
class Restoration:
    """How a state is brought back; see :class:`shared.wire.states.StateRecord`."""

    restore: Restore
    anchor: str | None
    verified_s: int


@dataclass(eq=False)
class Restorer:
    """Takes the states of one run in order and tells how each is brought back."""

    _fork_server: ForkServer
    """Used by nobody else meanwhile."""
    _files: SimulationSpec
    """What simulations of the run are opened with."""
    _draft: Path
    """A path to save states to."""
    _verified_s: int | None
    """Seconds that proofs cover; None proves no files, every state is replayed."""
    _actions: list[Action] = field(default_factory=list)
    _anchor: StateFile | None = None
    _shadow: SimulationHandle | None = None
    _shadow_s: float = float("-inf")

    def close(self) -> None:
        """Ends the simulation that runs behind."""
        if self._shadow is not None:
            self._shadow.close()

    def restoration(self, found: FoundState) -> Restoration:
        """How the next state of the run is brought back.

        Raises:
            RolloutError: ``not_reproducible``: the run, simulated again, came to another state.
        """
        self.take_actions(found.actions)
        exact = None if self._verified_s is None else self._from_file(found, self._verified_s)
        if exact is not None:
            return exact
        self._check_repeats(found)
        return Restoration("replay", None, 0)

    def take_actions(self, actions: Sequence[Action]) -> None:
        """Takes what the policy did until the next state."""
        self._actions += actions

    def take_anchor(self, anchor: StateFile) -> None:
        """Takes a state that continues exactly from its file."""
        self._anchor = anchor

    def _from_file(self, found: FoundState, verified_s: int) -> Restoration | None:
        """From the state's own file, or from that of the anchor; None where neither is exact."""
        if found.read is not None:
            with self._files.restoring(found.path, found.read, self._draft) as request:
                if self._continues(found, request):
                    self.take_anchor(found)
                    return Restoration("state", None, verified_s)
        anchor = self._anchor
        if anchor is not None and found.time_s - anchor.time_s <= _MAX_REPLAY_S:
            replay = self._replay(anchor.time_s, found.time_s)
            with self._files.restoring(anchor.path, anchor.read, self._draft, replay) as request:
                if self._continues(found, request):
                    return Restoration("replay", anchor.state_id, verified_s)
        return None

    def _continues(self, found: FoundState, request: Open) -> bool:
        """Whether a simulation that is opened so moves as the live one did.

        It does not where SUMO refuses the file, or dies of it twice.
        """
        for _ in range(2):
            try:
                with self._fork_server.open(request, _LIMIT_S) as restored:
                    if len(found.proof.shown) > _FEW:
                        self._fork_server.keep(restored)
                    return found.proof.holds_for(restored)
            except RolloutRejected:
                return False
            except (RolloutCrashed, HolderLost):
                continue
        return False

    def _check_repeats(self, found: FoundState) -> None:
        """Simulates the run again, up to the state, and compares the two states' files."""
        if self._shadow is None:
            self._shadow = self._fork_server.open(self._files.open_begin(), _LIMIT_S)
        replay = self._replay(self._shadow_s, found.time_s)
        self._shadow_s = self._shadow.call(replay, Ready, _LIMIT_S).time_s
        again = self._files.save(self._shadow, self._draft)
        if again.state_id != found.state_id:
            raise RolloutError(
                f"the run with seed {self._files.seed} is not reproducible: a second run reaches "
                f"{again.state_id} instead of {found.state_id}",
                "not_reproducible",
            )

    def _replay(self, from_s: float, to_s: float) -> Replay:
        first = bisect_left(self._actions, from_s, key=lambda action: action.time_s)
        return Replay(to_s=to_s, actions=tuple(self._actions[first:]))
