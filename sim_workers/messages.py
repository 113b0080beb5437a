"""What an actor or the builder says to a simulation process, and what that answers.

Messages travel as JSON over a :class:`multiprocessing.connection.Connection`, which prefixes each
with its length. JSON keeps floats to the last bit.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.errors import ErrorInfo
from shared.model import WireModel
from shared.prompts import LaneCounts
from shared.rewards import Metrics
from shared.signals import Signal, SignalState

__all__ = [
    "Advance",
    "Describe",
    "Described",
    "Failed",
    "Observe",
    "Observed",
    "Open",
    "Ready",
    "Reply",
    "Request",
    "RolledOut",
    "Rollout",
    "Save",
    "decode_reply",
    "decode_request",
]


class Open(WireModel):
    """Start SUMO: at its scenario's begin, or from a state file."""

    verb: Literal["open"] = "open"
    config: str
    """Path of the scenario's configuration."""
    seed: int
    state_file: str | None = None


class Describe(WireModel):
    """Tell what the network's traffic lights are."""

    verb: Literal["describe"] = "describe"
    min_green_s: float
    max_green_s: float


class Advance(WireModel):
    """Step the simulation itself. Only for live simulations: a restored one is never stepped."""

    verb: Literal["advance"] = "advance"
    to_s: float


class Observe(WireModel):
    """Tell what every traffic light is doing, and the vehicles at some of them."""

    verb: Literal["observe"] = "observe"
    tls_ids: tuple[str, ...]


class Save(WireModel):
    """Write the state to a file."""

    verb: Literal["save"] = "save"
    path: str


class Rollout(WireModel):
    """Fork; in the child carry out the decision, step the horizon, report."""

    verb: Literal["rollout"] = "rollout"
    tls_id: str
    phase_remaining_s: float | None
    """The decision in SUMO's terms: the current phase lasts so much longer; None: as it will."""
    horizon_s: int
    limit_s: float
    """Wall-clock seconds after which the child is killed."""
    trace_s: int | None = None
    """Also digest every vehicle's position over so many seconds, at least the horizon."""


class Ready(WireModel):
    """Done; the simulation is at ``time_s``."""

    verb: Literal["ready"] = "ready"
    time_s: float


class Described(WireModel):
    """The network's traffic lights."""

    verb: Literal["described"] = "described"
    signals: dict[str, Signal]


class Observed(WireModel):
    """What the traffic lights are doing now."""

    verb: Literal["observed"] = "observed"
    time_s: float
    signals: dict[str, SignalState]
    counts: dict[str, dict[int, LaneCounts]]
    """By signal and green phase, for the signals asked for."""


class RolledOut(WireModel):
    """What a rollout showed."""

    verb: Literal["rolled_out"] = "rolled_out"
    metrics: Metrics
    trace: str | None = None
    """SHA-256 over every vehicle's lane, position and speed in every second."""


class Failed(WireModel):
    """The request could not be carried out; the process lives on unless opening failed."""

    verb: Literal["failed"] = "failed"
    error: ErrorInfo


Request = Open | Describe | Advance | Observe | Save | Rollout
Reply = Ready | Described | Observed | RolledOut | Failed

_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])
_REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="verb")])


def decode_request(data: bytes) -> Request:
    """The request in a message."""
    return _REQUEST.validate_json(data)


def decode_reply(data: bytes) -> Reply:
    """The reply in a message."""
    return _REPLY.validate_json(data)
