"""What the owner of an episode says to its simulation process, and what that answers.

Part of :mod:`sim_workers.engine.messages`, whose unions hold these, too.
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
]

PhaseRule = Literal["keep", "greedy", "longest_queue", "max_pressure"]
"""Who decides after a candidate; see :mod:`sim_workers.engine.episodes.rules`."""


class Begin(WireModel):
    """From now on drive these signals. The simulation has been described."""

    verb: Literal["begin"] = "begin"
    signals: tuple[str, ...]
    """That are steered, sorted."""
    counted: tuple[str, ...]
    """Whose queues and switches are counted, sorted."""
    control: EpisodeControl
    elapsed_s: dict[str, float] = Field(default_factory=dict)
    """How long each signal's phase has been shown, where SUMO does not know: it was restored."""
    terms: tuple[EpisodeTerm, ...] = ()
    """What is sampled for the reward."""
    with_passed: bool = False
    """Count the vehicles that each green lets pass."""


class Step(WireModel):
    """Carry decisions out and step; one that is invalid is told, and its signal goes on."""

    verb: Literal["step"] = "step"
    decisions: dict[str, EpisodeDecision] = Field(default_factory=dict)
    to_s: float


class PhaseCounts(WireModel):
    """The vehicles that one green phase serves, now."""

    queued: int
    """Slower than 0.1 m/s, on its lanes."""
    approaching: int
    """Moving, on its lanes."""
    passed: int
    """Left its lanes during its latest green; 0 where nobody counts."""
    wait_s: float
    """Summed waiting time on its lanes, seconds."""
    exit_veh: int
    """Vehicles on the lanes that it leads to."""

    @property
    def vehicles(self) -> int:
        """All on its lanes."""
        return self.queued + self.approaching

    @property
    def pressure(self) -> int:
        """Vehicles on its lanes minus vehicles on the lanes that it leads to."""
        return self.vehicles - self.exit_veh


class SignalSeen(WireModel):
    """A steered signal between two steps."""

    phase: int
    elapsed_s: float
    legal: tuple[EpisodeDecision, ...]
    counts: dict[int, PhaseCounts]
    """By green phase of its own program."""


class SignalSample(WireModel):
    """Means over the seconds of a step, of one signal; what was not asked for is 0."""

    queue_veh: float = 0
    wait_s: float = 0
    pressure_veh: float = 0
    speed_mps: float | None = None


class GreenShown(WireModel):
    """A signal has begun to show a green phase, or none."""

    time_s: float
    tls_id: str
    phase: int | None
    """Of its own program; None: no green, until the next of these."""


class Stepped(WireModel):
    """Where the episode is now."""

    verb: Literal["stepped"] = "stepped"
    time_s: float
    signals: dict[str, SignalSeen]
    actions: tuple[ControlAction, ...] = ()
    """What was told to the signals since the last of these."""
    invalid: dict[str, InvalidInfo] = Field(default_factory=dict)
    kept: tuple[str, ...] = ()
    samples: dict[str, SignalSample] = Field(default_factory=dict)
    """Of the steered signals, over the step."""
    delay_veh: float | None = None
    """Where it was sampled: mean over the step of the network's delay; see
    :func:`sim_workers.engine.episodes.readings.network_delay_veh`."""
    queue_sum_veh: int = 0
    """Since the begin: vehicles that stand on incoming lanes, over counted signals and seconds."""
    seconds: int = 0
    """Since the begin."""
    switches: int = 0
    """Since the begin, over the counted signals."""
    greens: tuple[GreenShown, ...] = ()
    """Of the counted signals, since the last of these."""


class Try(WireModel):
    """Roll candidates out from here, each in a process of its own; nothing moves here."""

    verb: Literal["try"] = "try"
    candidates: tuple[dict[str, EpisodeDecision], ...]
    """Each by signal; the others go on."""
    horizon_s: int
    """Simulated seconds."""
    base: PhaseRule = "keep"
    """Who decides at the following steps."""
    at_once: int = 1
    """Processes side by side."""
    limit_s: float = 60
    """Wall-clock seconds for all of them."""
    check_every: int | None = None
    """Restore: roll out one after the other in a process that is put back, if there is one. The
    first of a moment, and of so many one, is done by a fork as well, and compared. None: each
    candidate is a fork."""
    ticket: int = 0
    """By which a candidate that is being restored may be cancelled."""
    request_id: str = ""
    """The request that asked, for the log."""


class Trial(WireModel):
    """What became of a candidate."""

    delay_veh: float | None = None
    """Mean of the network's delay over the horizon."""
    queue_veh: float | None = None
    """Mean over seconds of the vehicles that stand on incoming lanes of the counted signals."""
    error: ErrorInfo | None = None


class Tried(WireModel):
    """In the order of the candidates."""

    verb: Literal["tried"] = "tried"
    trials: tuple[Trial, ...]
    wall_s: float = 0
    """Seconds that they took."""
    restored: int = 0
    """How many of them a process did that was put back."""
    not_restored: tuple[str, ...] = ()
    """Why processes that were to be put back have ended."""
    check: Literal["equal", "different"] | None = None
    """How restored ones compared with forks, where both were done. If they differed, all are the
    forks', and nothing is restored from then on."""
    doubtful: int = 0
    """Where they differed: how many were restored since the last check that was passed, and
    answered."""


class End(WireModel):
    """Close the simulation and write what it has put out to three files, whose descriptors follow:
    trips, summary, statistic.
    """

    verb: Literal["end"] = "end"


class Ended(WireModel):
    """The simulation is over; the process answers nothing more."""

    verb: Literal["ended"] = "ended"
    time_s: float
