"""The simulations of one run: with what they are opened, and how they are saved."""

from dataclasses import dataclass
from pathlib import Path

from sim_workers.messages import Open, Ready, Replay, Save
from sim_workers.processes import Holder
from sim_workers.statefile import make_state_id, normalise_state

__all__ = ["RunFiles", "SavedState"]

_LIMIT_S = 600.0


@dataclass(frozen=True)
class SavedState:
    """A state as it goes into a dataset."""

    state_id: str
    content: bytes


@dataclass(frozen=True)
class RunFiles:
    """What every simulation of a run has in common."""

    scenario_name: str
    """Stands in the ids of the states."""
    config: Path
    """Runs the scenario from its begin."""
    restore_config: Path
    """Continues a state."""
    seed: int
    scale: float

    def open_begin(self) -> Open:
        """Opens a simulation at the run's begin."""
        return Open(config=str(self.config), seed=self.seed, scale=self.scale)

    def open_state(self, path: Path, replay: Replay | None = None) -> Open:
        """Opens a simulation from a state of the run, and perhaps replays from there."""
        return Open(
            config=str(self.restore_config),
            seed=self.seed,
            scale=self.scale,
            state_file=str(path),
            replay=replay,
        )

    def save(self, simulation: Holder, draft: Path) -> SavedState:
        """Saves a simulation as it is now.

        Args:
            simulation: One of the run's.
            draft: A path that nobody else writes to; nothing is left there.
        """
        time_s = simulation.call(Save(path=str(draft)), Ready, _LIMIT_S).time_s
        content = normalise_state(draft.read_bytes())
        draft.unlink()
        return SavedState(make_state_id(self.scenario_name, time_s, content), content)
