"""Episodes: what is asked for, a step and its answer, and the figures of a finished one.

An episode is one run of a scenario in which decisions from outside steer some signals. Phases are
always indices of the signal's own program. What a decision does is
:mod:`sim_workers.engine.episodes.control`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StrictBool, StrictInt, model_validator

from shared.dataset import Message
from shared.decisions import MAX_GREEN_S
from shared.model import WireModel
from shared.wire.episode_control import (
    PRESETS,
    EpisodeControl,
    ExtendControl,
    PhaseControl,
    ProgramTransition,
    YellowTransition,
)

__all__ = [
    "MAX_EPISODE_S",
    "PRESETS",
    "ControlAction",
    "EpisodeControl",
    "EpisodeDecision",
    "EpisodeFigures",
    "EpisodeRequest",
    "EpisodeReward",
    "EpisodeTerm",
    "ExtendControl",
    "ExtendGreen",
    "InvalidInfo",
    "PhaseControl",
    "ProgramKind",
    "ProgramTransition",
    "ShowPhase",
    "SignalObservation",
    "StepAnswer",
    "StepRequest",
    "TlsId",
    "YellowTransition",
]

MAX_EPISODE_S = 86_400
"""The longest episode, seconds of simulated time."""

_MAX_SIGNALS = 2_000
_MAX_ID_CHARS = 256
_MAX_COMPLETION_CHARS = 262_144

TlsId = Annotated[str, Field(min_length=1, max_length=_MAX_ID_CHARS)]


class ExtendGreen(WireModel):
    """Keep the current green, or end it, as soon as ``min_green_s`` allows."""

    kind: Literal["extend"] = "extend"
    extend: StrictBool
    extend_s: StrictInt | None = Field(default=None, ge=1, le=MAX_GREEN_S)
    """Seconds that a *yes* adds; None: the control's interval."""


class ShowPhase(WireModel):
    """Show a green phase until a later step changes it."""

    kind: Literal["phase"] = "phase"
    next_phase: StrictInt = Field(ge=0)
    """Index of a green phase in the signal's own program."""


EpisodeDecision = Annotated[ExtendGreen | ShowPhase, Field(discriminator="kind")]
"""A decision at one signal at one step."""

ProgramKind = Literal["actuated", "delay_based"]
"""SUMO's types of programs that set the lengths of their greens themselves."""

EpisodeTerm = Literal["delay", "pressure", "queue", "speed", "wait"]
"""The rewards that a sum may be made of; ``queue_gain`` needs a second run to compare with."""


class EpisodeReward(WireModel):
    """What each step is rewarded with: means over the seconds of the step."""

    name: Literal["delay", "pressure", "queue", "speed", "wait", "sum"] = "delay"
    """``delay`` is the whole network's, the others are each signal's own."""
    terms: dict[EpisodeTerm, FiniteFloat] | None = Field(default=None, min_length=1)
    """The weights of a ``sum``; only there, and needed there."""
    invalid_reward: FiniteFloat = -1.0
    """Added to a signal's reward when its decision was invalid."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.name == "sum") != (self.terms is not None):
            raise ValueError('terms are required with the reward "sum" and not allowed with others')
        return self

    def names(self) -> tuple[EpisodeTerm, ...]:
        """The terms it is made of, sorted."""
        if self.name == "sum":
            return tuple(sorted(self.terms or ()))
        return (self.name,)


class EpisodeRequest(WireModel):
    """Body of ``POST /v1/episodes``."""

    scenario_id: str | None = Field(default=None, min_length=1, max_length=_MAX_ID_CHARS)
    state_id: str | None = Field(default=None, min_length=1, max_length=_MAX_ID_CHARS)
    """Begin from this state; its seed, scale and begin then hold."""
    seed: StrictInt | None = Field(default=None, ge=0, lt=2**31)
    """SUMO's ``--seed``. None: the scenario's, or the state's."""
    scale: FiniteFloat | None = Field(default=None, gt=0, le=100)
    """SUMO's ``--scale``. None: 1, or the state's."""
    begin_s: FiniteFloat | None = None
    """When the run begins. None: the scenario's begin, or the state's time."""
    end_s: FiniteFloat | None = None
    """When it ends. None: an hour later, or where the scenario ends if that is earlier."""
    signals: tuple[TlsId, ...] | None = Field(default=None, max_length=_MAX_SIGNALS)
    """Those that are steered. None: all that have something to decide."""
    program: ProgramKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The type of program that replaces the signals' own, with the same phases. None: their own."""
    control: EpisodeControl = PRESETS["resco"]
    reward: EpisodeReward = EpisodeReward()
    observe: tuple[Literal["prompt", "features"], ...] = Field(default=(), max_length=2)
    """What an answer says of each signal beside its legal decisions."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.scenario_id is None) == (self.state_id is None):
            raise ValueError("give either scenario_id or state_id")
        if self.state_id is not None:
            own = ("seed", "scale", "begin_s", "program")
            fixed = [name for name in own if getattr(self, name) is not None]
            if fixed:
                raise ValueError(f"a state has its own {', '.join(fixed)}; leave it out")
        if self.signals is not None and len(set(self.signals)) < len(self.signals):
            raise ValueError("signals contains an id twice")
        if len(set(self.observe)) < len(self.observe):
            raise ValueError("observe contains a name twice")
        return self


class StepRequest(WireModel):
    """Body of ``POST /v1/episodes/{id}/step``."""

    step: StrictInt = Field(ge=0)
    """The number of the step that is decided: that of the last answer."""
    decisions: dict[TlsId, EpisodeDecision] = Field(default={}, max_length=_MAX_SIGNALS)
    completions: dict[TlsId, Annotated[str, Field(max_length=_MAX_COMPLETION_CHARS)]] = Field(
        default={}, max_length=_MAX_SIGNALS
    )
    """A model's texts, by signal."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        both = sorted(self.decisions.keys() & self.completions.keys())
        if both:
            raise ValueError(f"signal {both[0]} has both a decision and a completion")
        return self


class InvalidInfo(WireModel):
    """Why a decision was not carried out."""

    code: str
    message: str


class SignalObservation(WireModel):
    """A steered signal, as it is before the next decision."""

    current_phase: int
    """The green that is shown, or during a transition what is shown or was shown last."""
    elapsed_green_s: float
    """How long it has been shown, seconds."""
    legal: tuple[EpisodeDecision, ...]
    """What may be decided now; empty: nothing."""
    prompt: tuple[Message, ...] | None = None
    """What a model is asked, where that was to be observed and something is legal."""
    features: dict[str, float] | None = None
    """Where they were to be observed: numbers by name, in the order of the table in
    ``docs/closed-loop.md``."""


class StepAnswer(WireModel):
    """Answer to the creation of an episode, and to each step."""

    episode_id: str
    step: int = Field(ge=0)
    """Steps that are done, and the number of the next one."""
    time_s: float
    signals: dict[str, SignalObservation]
    reward: float | None = None
    """The mean of ``rewards``; null before the first step and where no signal is steered."""
    rewards: dict[str, float | None] = Field(default_factory=dict)
    """By signal; null where it is undefined, as the speed on empty lanes."""
    invalid: dict[str, InvalidInfo] = Field(default_factory=dict)
    """The decisions that were not carried out, and why."""
    kept: tuple[str, ...] = ()
    """The signals that went on as they were: nothing legal, nothing given, or invalid."""
    queue_veh: float | None = None
    """Vehicles that stood on the incoming lanes of all signals that have something to decide, mean
    over the step's seconds; null before the first step, and in answers of earlier releases."""
    terminated: bool = False
    """Never true: traffic has no end of its own."""
    truncated: bool = False
    """Whether the episode has reached its end."""


class ControlAction(WireModel):
    """Something that was told to a signal, in TraCI's names, before the step from ``time_s``.

    ``getattr(traci.trafficlight, call)(tls_id, *arguments)`` does it again in plain SUMO.
    """

    time_s: float
    tls_id: str
    call: Literal["setPhase", "setPhaseDuration", "setRedYellowGreenState"]
    arguments: tuple[int | float | str]


class EpisodeFigures(WireModel):
    """What a finished episode adds up to. Formulas: ``docs/closed-loop.md``."""

    vehicles: int
    """That departed, or should have before the end."""
    delay_s: float | None
    """RESCO's: time loss and departure delay of all of them, per vehicle, seconds."""
    travel_time_s: float | None
    """Mean trip duration of those that arrived, seconds."""
    travel_time_all_s: float | None
    """From the planned departure to the arrival, or to the end, of all of them, seconds."""
    wait_s: float | None
    """Mean time that those that departed stood, seconds."""
    queue_veh: float | None
    """Vehicles that stand on a signal's incoming lanes: mean over signals and seconds."""
    throughput_veh: int
    """Vehicles that arrived."""
    backlog_veh: int
    """Vehicles that should have departed and did not."""
    teleports: int
    collisions: int
    emergency_stops: int
    switches: int
    """How often any signal showed another green than before."""
    gridlocked: bool
    """Whether for 600 s in a row nobody arrived while more than 10 % of those in the network
    stood."""
    decisions: dict[str, dict[Literal["valid", "invalid"], int]] = Field(default_factory=dict)
    """Decisions that were given, by kind (``text``: a completion that none could be read from)."""
