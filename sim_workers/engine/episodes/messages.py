"""Messages between the owner of an episode and its simulation process.

Part of :mod:`sim_workers.engine.messages`, whose unions include these.
"""

from typing import Literal

from pydantic import Field

from shared.model import WireModel
from shared.wire.episodes import (
    ControlAction,
    EpisodeControl,
    EpisodeDecision,
    EpisodeTerm,
    InvalidInfo,
)
from shared.wire.error_info import ErrorInfo
from shared.wire.viewing.episode_traces import EpisodeFrames

__all__ = [
    "Begin",
    "End",
    "Ended",
    "GreenShown",
    "PhaseCounts",
    "PhaseRule",
    "SignalSample",
    "SignalSeen",
    "Step",
    "Stepped",
    "Trial",
    "Tried",
    "Try",
    "Watch",
]

PhaseRule = Literal["keep", "greedy", "longest_queue", "max_pressure"]
"""Who decides after a candidate; see :mod:`sim_workers.engine.episodes.rules`."""


class Begin(WireModel):
    """Drive these signals from now on. The simulation has been described already."""

    verb: Literal["begin"] = "begin"
    signals: tuple[str, ...]
    """Signals to control, sorted."""
    counted: tuple[str, ...]
    """Signals whose queues and switches are counted, sorted."""
    control: EpisodeControl
    elapsed_s: dict[str, float] = Field(default_factory=dict)
    """How long each signal's phase has been shown, if SUMO does not know because it was
    restored."""
    terms: tuple[EpisodeTerm, ...] = ()
    """What is sampled for the reward."""
    with_passed: bool = False
    """Whether to count the vehicles that pass in each green."""


class Watch(WireModel):
    """Record what there is to see from one moment to another, both included."""

    from_s: float
    to_s: float
    tls_id: str | None = None
    """The traffic light whose surroundings to record; None: everything."""


class Step(WireModel):
    """Carry out decisions and step; invalid decisions are reported, and their signals go on."""

    verb: Literal["step"] = "step"
    decisions: dict[str, EpisodeDecision] = Field(default_factory=dict)
    to_s: float
    watch: Watch | None = None
    """What to record meanwhile; the same with each step of its span."""


class PhaseCounts(WireModel):
    """The vehicles that one green phase serves at present."""

    queued: int
    """Vehicles on its lanes slower than 0.1 m/s."""
    approaching: int
    """Moving vehicles on its lanes."""
    passed: int
    """Vehicles that left its lanes during its latest green; 0 if they are not counted."""
    wait_s: float
    """Total waiting time of the vehicles on its lanes, in seconds."""
    exit_veh: int
    """Vehicles on the lanes that it leads to."""

    @property
    def vehicles(self) -> int:
        """All vehicles on its lanes."""
        return self.queued + self.approaching

    @property
    def pressure(self) -> int:
        """Vehicles on its lanes minus vehicles on the lanes that it leads to."""
        return self.vehicles - self.exit_veh


class SignalSeen(WireModel):
    """A controlled signal between two steps."""

    phase: int
    elapsed_s: float
    legal: tuple[EpisodeDecision, ...]
    counts: dict[int, PhaseCounts]
    """Counts by green phase of its own program."""


class SignalSample(WireModel):
    """Means over the seconds of a step, for one signal; 0 for what was not requested."""

    queue_veh: float = 0
    wait_s: float = 0
    pressure_veh: float = 0
    speed_mps: float | None = None


class GreenShown(WireModel):
    """A signal has begun to show a green phase, or none."""

    time_s: float
    tls_id: str
    phase: int | None
    """Index in its own program; None: no green until the next such event."""


class Stepped(WireModel):
    """The present state of the episode."""

    verb: Literal["stepped"] = "stepped"
    time_s: float
    signals: dict[str, SignalSeen]
    actions: tuple[ControlAction, ...] = ()
    """The commands sent to the signals since the last such message."""
    invalid: dict[str, InvalidInfo] = Field(default_factory=dict)
    kept: tuple[str, ...] = ()
    samples: dict[str, SignalSample] = Field(default_factory=dict)
    """Means over the step, by controlled signal."""
    delay_veh: float | None = None
    """The mean of the network's delay over the step, if it was sampled; see
    :func:`sim_workers.engine.episodes.readings.network_delay_veh`."""
    queue_sum_veh: int = 0
    """Since the start: vehicles standing on incoming lanes, over counted signals and seconds."""
    seconds: int = 0
    """Since the start."""
    switches: int = 0
    """Since the start, over the counted signals."""
    greens: tuple[GreenShown, ...] = ()
    """Events at the counted signals since the last such message."""
    shown: EpisodeFrames | None = None
    """What was recorded, with the step in which its span ends."""


class Try(WireModel):
    """Roll out candidates from here, each in its own process; the episode does not move."""

    verb: Literal["try"] = "try"
    candidates: tuple[dict[str, EpisodeDecision], ...]
    """Decisions by signal; the other signals continue without one."""
    horizon_s: int
    """Simulated seconds."""
    base: PhaseRule = "keep"
    """Which rule decides at the steps that follow."""
    at_once: int = 1
    """Number of processes at a time."""
    limit_s: float = 60
    """Wall-clock limit for all of them, in seconds."""
    check_every: int | None = None
    """Restore: roll out one after another in a process that is put back, if there is one. The first
    at each moment, and one in every so many, is also done by a fork and compared. None: each
    candidate is a fork."""
    ticket: int = 0
    """The ticket by which a restored candidate can be cancelled."""
    request_id: str = ""
    """The id of the request, for the log."""


class Trial(WireModel):
    """The result of a candidate."""

    delay_veh: float | None = None
    """Mean of the network's delay over the horizon."""
    queue_veh: float | None = None
    """Mean over seconds of the vehicles standing on incoming lanes of the counted signals."""
    error: ErrorInfo | None = None


class Tried(WireModel):
    """Results, in the order of the candidates."""

    verb: Literal["tried"] = "tried"
    trials: tuple[Trial, ...]
    wall_s: float = 0
    """How long they took, in seconds."""
    restored: int = 0
    """How many of them were done by a process that was put back."""
    not_restored: tuple[str, ...] = ()
    """Why processes that could be put back have ended."""
    check: Literal["equal", "different"] | None = None
    """How restored rollouts compared with forks, if both were done. If they differed, all results
    are those of forks, and nothing is restored from then on."""
    doubtful: int = 0
    """If they differed: how many results had been restored since the last check that passed, and
    were sent."""


class End(WireModel):
    """Close the simulation and write its outputs to three files, whose descriptors follow:
    trips, summary, statistic.
    """

    verb: Literal["end"] = "end"


class Ended(WireModel):
    """The simulation is over; the process answers no further requests."""

    verb: Literal["ended"] = "ended"
    time_s: float
