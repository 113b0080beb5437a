"""What is known of a saved state."""

from typing import Literal

from pydantic import Field

from shared.decisions import DecisionKind
from shared.model import WireModel
from shared.signals import Signal, SignalState
from shared.wire.episode_control import EpisodeControl

__all__ = ["Fidelity", "Restore", "Simulator", "StatePage", "StateRecord", "StateView"]

Restore = Literal["state", "replay", "unverified"]
"""How a state is brought back: its file continues exactly (proven when it was saved), the run is
replayed up to it, or nothing was proven and its file is used as it is."""


Fidelity = Literal["own", "bundle", "unchecked"]
"""What a number was computed in: the user's own simulation, as a comparison with plain SUMO of the
user's own configuration has shown; one that may be another, as datasets of version 0.1 are; or one
that was never compared: uploads, other seeds than the run's, times beyond the comparison."""


class Simulator(WireModel):
    """The program that computed a number. Another version may compute another."""

    name: Literal["sumo"] = "sumo"
    version: str


class StateRecord(WireModel):
    """One line of a dataset's ``states/index.jsonl``."""

    state_id: str
    """``<scenario name>@<time_s>-<12 hex of the SHA-256 of the state file>``."""
    scenario_id: str
    """``<scenario name>-<12 hex of the SHA-256 of its files and configuration>``."""
    time_s: float
    """Simulation time of the state, seconds."""
    seed: int
    """SUMO's ``--seed`` of the run it was saved from."""
    scale: float = Field(default=1.0, gt=0)
    """SUMO's ``--scale`` of that run, in place of the configuration's; 1 leaves that."""
    run: str
    """The run of its dataset that it was saved from; see :class:`shared.dataset.SimulationRef`."""
    restore: Restore
    anchor: str | None = None
    """For ``replay``: the state from whose file the replay starts; None: from the run's begin."""
    read: dict[str, int] | None = None
    """By route file of the scenario, how many bytes of it the run had read: a restored simulation
    reads on there, and nothing of files that are not named. None: it reads them from the top."""
    digest: str | None = None
    """Of where everything is at that moment, 16 hex digits: what brings the state back is compared
    with it. None where nobody noted it."""
    verified_s: int
    """Seconds after the state over which the restored run was proven equal to the live one."""
    proven: dict[str, DecisionKind] = Field(default_factory=dict)
    """By signal, the kind of decisions under each of which it was proven; left alone, always."""
    control: EpisodeControl | None = Field(default=None, exclude_if=lambda control: control is None)
    """Of the episode that it was saved from: decisions on it are carried out under this control.
    None: it was not, or signals show phases of their own programs all the same."""
    simulator: Simulator
    signals: dict[str, SignalState]
    """Every traffic light of the network, by id."""


class StateView(StateRecord):
    """A state as ``GET /v1/states/{state_id}`` shows it: the record and its signals in full."""

    definitions: dict[str, Signal]
    """The same signals: their programs, lanes and green limits."""


class StatePage(WireModel):
    """A part of the list that ``GET /v1/states`` gives."""

    states: tuple[StateRecord, ...]
    total: int = Field(ge=0)
    """States that match, on all pages together."""
    limit: int
    offset: int
