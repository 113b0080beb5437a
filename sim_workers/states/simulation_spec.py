"""The simulations of one run: how to open them, and how to save them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sim_workers.engine.fork_client import SimulationHandle
from sim_workers.engine.messages import Look, Open, Ready, Replay, Save, Seen
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.state_file import make_state_id, normalise_state
from sim_workers.states.unread_demand import Demand

__all__ = ["SavedState", "SimulationSpec"]

_LIMIT_S = 600.0


@dataclass(frozen=True)
class SavedState:
    """A state in the form in which it is stored in a dataset."""

    state_id: str
    content: bytes
    read: Mapping[str, int] | None
    """How far its run had read its demand; see :class:`shared.wire.states.StateRecord`."""
    digest: str
    """Digest of the positions of everything."""


@dataclass(frozen=True)
class SimulationSpec:
    """What all simulations of a run have in common."""

    scenario_name: str
    """Part of the states' ids."""
    scenario: Path
    """The folder of the scenario's files."""
    demand: Demand
    """The demand in these files."""
    seed: int
    scale: float

    def open_begin(self) -> Open:
        """Opens a simulation at the run's begin."""
        return Open(config=str(self.scenario / CONFIG_NAME), seed=self.seed, scale=self.scale)

    @contextmanager
    def restoring(
        self,
        path: Path,
        read: Mapping[str, int] | None,
        draft: Path,
        replay: Replay | None = None,
    ) -> Iterator[Open]:
        """Opens a simulation from a state of the run, and perhaps replays from there.

        Args:
            path: The state's file.
            read: How far the run had read its demand; None reads the files from the beginning, as
                plain SUMO does.
            draft: Necessary files are written next to this path, and removed with the context.
            replay: What to replay from there.
        """
        with TemporaryDirectory(prefix=f"{draft.name}-", dir=draft.parent) as folder:
            config = self.scenario / CONFIG_NAME
            if read is not None:
                config = self.demand.write_restoring(Path(folder) / "restoring", read)
            yield Open(
                config=str(config),
                seed=self.seed,
                scale=self.scale,
                state_file=str(path),
                reads=(str(self.scenario),),
                replay=replay,
            )

    def save(self, simulation: SimulationHandle, draft: Path) -> SavedState:
        """Saves a simulation as it is now.

        Args:
            simulation: A simulation of the run.
            draft: A path to which nobody else writes; nothing remains there.
        """
        time_s = simulation.call(Save(path=str(draft)), Ready, _LIMIT_S).time_s
        content, read = self.demand.settle(normalise_state(draft.read_bytes()))
        draft.unlink()
        digest = simulation.call(Look(), Seen, _LIMIT_S).digest
        state_id = make_state_id(self.scenario_name, time_s, content)
        return SavedState(state_id, content, read, digest)
