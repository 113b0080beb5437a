"""What an actor or the builder says to a simulation process, and what that answers.

Messages travel as JSON over a :class:`multiprocessing.connection.Connection`, which prefixes each
with its length. JSON keeps floats to the last bit.
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
"""What a fork server is asked for, with two descriptors: of a connection and of a log."""


class Replay(WireModel):
    """Step a simulation itself to a moment, repeating what was decided in the run it belongs to."""

    verb: Literal["replay"] = "replay"
    to_s: float
    actions: tuple[Action, ...] = ()
    """In order; those before the simulation's start are passed over."""
    is_watched: bool = False
    """Tell a digest of every second on the way."""


class Open(WireModel):
    """Start SUMO: at its scenario's begin, or from a state file; and perhaps replay from there."""

    verb: Literal["open"] = "open"
    config: str
    """Path of the scenario's configuration."""
    seed: int
    scale: float = 1.0
    """SUMO's ``--scale``: all demand, times this."""
    state_file: str | None = None
    replay: Replay | None = None
    arguments: tuple[str, ...] = ()
    """Further arguments of SUMO."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables that the configuration names."""
    reads: tuple[str, ...] = ()
    """Folders that it may read beside its configuration's."""
    folder: str | None = None
    """Where it runs; None: where the fork server was started."""
    is_scattered: bool = False
    """Load the network with its memory in another order than usual; see
    :mod:`sim_workers.verification.fidelity`."""
    with_outputs: bool = False
    """Let SUMO write what trips, the network and its statistic were, into memory; see
    :mod:`sim_workers.engine.episodes.outputs`."""
    with_warnings: bool = False
    """Let SUMO print its warnings; see
    :meth:`sim_workers.engine.fork_client.SimulationHandle.last_words`."""


class Describe(WireModel):
    """Tell what the network's traffic lights are."""

    verb: Literal["describe"] = "describe"
    min_green_s: float
    max_green_s: float


class Advance(WireModel):
    """Step the simulation itself. Only for live simulations: a restored one is never stepped."""

    verb: Literal["advance"] = "advance"
    to_s: float
    policy: PolicySpec = PolicySpec()
    """Who runs the signals meanwhile; what it does at ``to_s`` it does in the next advance."""


class Observe(WireModel):
    """Tell what every traffic light is doing, and the vehicles at some of them."""

    verb: Literal["observe"] = "observe"
    tls_ids: tuple[str, ...]


class Look(WireModel):
    """Report the position of every moving object."""

    verb: Literal["look"] = "look"
    in_full: bool = False
    """Tell of each thing, not only the digest."""


class Seen(WireModel):
    """Positions at full precision."""

    verb: Literal["seen"] = "seen"
    things: dict[str, str] = Field(default_factory=dict)
    """Where that was asked for, by name: where ``vehicle a`` or ``person b`` is, or what
    ``signal c`` shows."""
    digest: str


class Save(WireModel):
    """Write the state to a file, whose descriptor follows: the holder itself can open none."""

    verb: Literal["save"] = "save"
    path: str


class Keep(WireModel):
    """Have rollouts put back by a keeper from now on; its socket follows, as a descriptor.

    See :mod:`sim_workers.engine.restoring`.
    """

    verb: Literal["keep"] = "keep"


class Cancel(WireModel):
    """End a rollout, if it is the one that runs. There is no reply to this; the rollout's says so.

    The only thing that may be said to a holder while it works.
    """

    verb: Literal["cancel"] = "cancel"
    ticket: int


class Spawn(WireModel):
    """Become two holders of the same simulation.

    The other one's socket and log follow, as descriptors.
    """

    verb: Literal["spawn"] = "spawn"


class Spawned(WireModel):
    """The other holder runs."""

    verb: Literal["spawned"] = "spawned"
    pid: int


class Ready(WireModel):
    """Done; the simulation is at ``time_s``."""

    verb: Literal["ready"] = "ready"
    time_s: float
    actions: tuple[Action, ...] = ()
    """What the behaviour policy did during an advance."""
    digests: tuple[str, ...] = ()
    """Of each second of a replay that was watched; see
    :func:`sim_workers.engine.readings.moment_digest`."""


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
