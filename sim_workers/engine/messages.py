"""Messages between an actor or the builder and a simulation process.

They travel as JSON over a :class:`multiprocessing.connection.Connection`, which prefixes each with
its length. JSON keeps floats exact to the last bit.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.dataset import Action
from shared.language.prompts import LaneCounts
from shared.model import WireModel
from shared.signals import Signal, SignalState
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Begin, End, Ended, Step, Stepped, Tried, Try
from sim_workers.engine.policies import PolicySpec
from sim_workers.engine.rollouts.messages import (
    MadeBy,
    Rollout,
    RolloutOutcome,
    SignalDecision,
    Source,
)

__all__ = [
    "HOLDER",
    "KEEPER",
    "REPLY",
    "REQUEST",
    "Advance",
    "Cancel",
    "Describe",
    "Described",
    "Failed",
    "Keep",
    "Look",
    "MadeBy",
    "Observe",
    "Observed",
    "Open",
    "Ready",
    "Replay",
    "Reply",
    "Request",
    "Rollout",
    "RolloutOutcome",
    "Save",
    "Seen",
    "SignalDecision",
    "Source",
    "Spawn",
    "Spawned",
]


HOLDER, KEEPER = b"h", b"k"
"""A request to a fork server, with two descriptors: those of a connection and of a log."""


class Replay(WireModel):
    """Step a simulation itself to a time, repeating the decisions of the run it belongs to."""

    verb: Literal["replay"] = "replay"
    to_s: float
    actions: tuple[Action, ...] = ()
    """Actions in order; those before the simulation's start are skipped."""
    is_watched: bool = False
    """Report a digest of every second on the way."""


class Open(WireModel):
    """Start SUMO at its scenario's start or from a state file; optionally replay from there."""

    verb: Literal["open"] = "open"
    config: str
    """Path of the scenario's configuration."""
    seed: int
    scale: float = 1.0
    """SUMO's ``--scale``, the factor for all demand."""
    state_file: str | None = None
    replay: Replay | None = None
    arguments: tuple[str, ...] = ()
    """Further arguments for SUMO."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables that the configuration names."""
    reads: tuple[str, ...] = ()
    """Folders that it may read besides the configuration's own."""
    folder: str | None = None
    """The working directory; None: that of the fork server."""
    is_scattered: bool = False
    """Load the network with its memory in a different order than usual; see
    :mod:`sim_workers.verification.fidelity`."""
    with_outputs: bool = False
    """Make SUMO write its trips, summary and statistic output into memory; see
    :mod:`sim_workers.engine.episodes.outputs`."""
    with_warnings: bool = False
    """Make SUMO print its warnings; see
    :meth:`sim_workers.engine.fork_client.SimulationHandle.last_words`."""


class Describe(WireModel):
    """Describe the network's traffic lights."""

    verb: Literal["describe"] = "describe"
    min_green_s: float
    max_green_s: float


class Advance(WireModel):
    """Step the simulation itself. Only for live simulations: a restored one is never stepped."""

    verb: Literal["advance"] = "advance"
    to_s: float
    policy: PolicySpec = PolicySpec()
    """The policy of the signals meanwhile; what it decides at ``to_s`` is left to the next
    advance."""


class Observe(WireModel):
    """Report the state of every traffic light, and the vehicles at some of them."""

    verb: Literal["observe"] = "observe"
    tls_ids: tuple[str, ...]


class Look(WireModel):
    """Report the position of every moving object."""

    verb: Literal["look"] = "look"
    in_full: bool = False
    """Report each object, not only the digest."""


class Seen(WireModel):
    """Positions in full precision."""

    verb: Literal["seen"] = "seen"
    things: dict[str, str] = Field(default_factory=dict)
    """If requested, the details by name: the position of ``vehicle a`` or ``person b``, or the
    state of ``signal c``."""
    digest: str


class Save(WireModel):
    """Write the state to a file, whose descriptor follows: the holder itself cannot open any."""

    verb: Literal["save"] = "save"
    path: str


class Keep(WireModel):
    """Have rollouts put back by a keeper from now on; its socket follows as a descriptor.

    See :mod:`sim_workers.engine.restoring`.
    """

    verb: Literal["keep"] = "keep"


class Cancel(WireModel):
    """End a rollout, if it is the one running. There is no reply to this, only the rollout's own.

    The only message that may be sent to a holder while it works.
    """

    verb: Literal["cancel"] = "cancel"
    ticket: int


class Spawn(WireModel):
    """Become two holders of the same simulation.

    The socket and log of the other one follow as descriptors.
    """

    verb: Literal["spawn"] = "spawn"


class Spawned(WireModel):
    """The other holder is running."""

    verb: Literal["spawned"] = "spawned"
    pid: int


class Ready(WireModel):
    """Done; the simulation is now at ``time_s``."""

    verb: Literal["ready"] = "ready"
    time_s: float
    actions: tuple[Action, ...] = ()
    """The decisions of the behaviour policy during an advance."""
    digests: tuple[str, ...] = ()
    """For each second of a replay with digests; see
    :func:`sim_workers.engine.readings.moment_digest`."""


class Described(WireModel):
    """The network's traffic lights."""

    verb: Literal["described"] = "described"
    signals: dict[str, Signal]


class Observed(WireModel):
    """The present state of the traffic lights."""

    verb: Literal["observed"] = "observed"
    time_s: float
    signals: dict[str, SignalState]
    counts: dict[str, dict[int, LaneCounts]]
    """By signal and green phase, for the signals requested."""


class Failed(WireModel):
    """The request could not be carried out; the process lives on unless opening failed."""

    verb: Literal["failed"] = "failed"
    error: ErrorInfo


Request = (
    Open
    | Describe
    | Advance
    | Replay
    | Observe
    | Look
    | Save
    | Rollout
    | Keep
    | Cancel
    | Spawn
    | Begin
    | Step
    | Try
    | End
)
Reply = (
    Ready
    | Spawned
    | Described
    | Observed
    | Seen
    | RolloutOutcome
    | Stepped
    | Tried
    | Ended
    | Failed
)

REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="verb")])
REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="verb")])
