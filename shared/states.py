"""What is known of a saved state."""

from typing import Literal

from pydantic import Field

from shared.model import WireModel
from shared.signals import Signal, SignalState

__all__ = ["Restore", "Simulator", "StatePage", "StateRecord", "StateView"]

Restore = Literal["state", "replay", "unverified"]
"""How a state is brought back: its file continues exactly (proven when it was saved), the scenario
is replayed up to it, or nothing was proven."""


class Simulator(WireModel):
    """The program that computed a number. Another version may compute another."""

    name: Literal["sumo"] = "sumo"
    version: str


class StateRecord(WireModel):
    """One line of a dataset's ``states/index.jsonl``."""

    state_id: str
    """``<scenario name>@<time_s>-<12 hex of the SHA-256 of the state file>``."""
    scenario_id: str
    """``<scenario name>-<12 hex of the SHA-256 of its normalised content>``."""
    time_s: float
    """Simulation time of the state, seconds."""
    seed: int
    """SUMO's ``--seed`` of the run it was saved from."""
    restore: Restore
    verified_s: int
    """Seconds after the state over which the restored run was proven equal to the live one."""
    simulator: Simulator
    signals: dict[str, SignalState]
    """Every traffic light of the network, by id."""

    def restore_over(self, horizon_s: int) -> Restore:
        """What a reward of this horizon may say: beyond what was proven, it is unverified."""
        is_beyond = self.restore == "state" and horizon_s > self.verified_s
        return "unverified" if is_beyond else self.restore


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
