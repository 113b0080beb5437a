"""The messages between gateway and worker about episodes.

They travel over Ray, which pickles them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.errors import GreenforkError
from shared.signals import SignalState
from shared.wire.episode_views import CandidatesRequest
from shared.wire.episodes import StepRequest
from sim_workers.engine.episodes.messages import Watch
from sim_workers.engine.messages import Replay
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec

__all__ = [
    "EpisodeBatch",
    "EpisodeCall",
    "EpisodeEnd",
    "EpisodeOrigin",
    "EpisodeReply",
    "EpisodeVerb",
    "SavedMoment",
    "ShownSpan",
]

EpisodeVerb = Literal["begin", "step", "score", "fork", "state", "show"]


@dataclass(frozen=True)
class EpisodeOrigin:
    """Everything needed to replay an episode, for a worker that has no process of it."""

    spec: EpisodeSpec
    steps: tuple[StepRequest, ...]
    """The steps up to the position of the call."""
    scenario_id: str
    scenario: Mapping[str, bytes] | None
    """The scenario's files by name; None if the worker already has them."""
    replay: Replay | None = None
    """The replay from the run's begin, or from the state's file, to the episode's begin."""
    digest: str | None = None
    """Digest of all positions at the episode's begin, 16 hex digits; None if unknown."""
    state_id: str | None = None
    """Id of the state from whose file it begins."""
    state: bytes | None = None
    """Content of that file; None if it begins without one."""
    read: Mapping[str, int] | None = None
    """How far the run had read its demand then; see :class:`shared.wire.states.StateRecord`."""
    elapsed_s: Mapping[str, float] = field(default_factory=dict)
    """How long each signal's phase had been shown then, if a file is loaded."""


@dataclass(frozen=True)
class EpisodeCall:
    """A request about one episode."""

    episode_id: str
    scenario_id: str
    verb: EpisodeVerb
    at: Position
    """The position of its record; a process at any other position is not used."""
    step: StepRequest | None = None
    """The request of a ``step``, in canonical form."""
    candidates: CandidatesRequest | None = None
    """The request of a ``score``."""
    at_once: int = 1
    """Number of its candidates that may run side by side, set when it is sent."""
    fork_id: str = ""
    """For ``fork``, the id of the new episode."""
    watch: Watch | None = None
    """For ``show``, what to record while the steps of the record are repeated."""
    origin: EpisodeOrigin | None = None
    """The data for a replay; None if the worker is expected to have a process of the episode."""


@dataclass(frozen=True)
class EpisodeEnd:
    """The results of an episode that has reached its end."""

    figures: bytes
    """JSON of :class:`shared.wire.episodes.EpisodeFigures`."""
    tripinfo: bytes
    """SUMO's own ``tripinfo`` output."""


@dataclass(frozen=True)
class SavedMoment:
    """A moment of an episode that can be restored by a replay of its run."""

    state_id: str
    time_s: float
    content: bytes
    """The state file."""
    read: Mapping[str, int] | None
    """How far the run had read its demand; see :class:`shared.wire.states.StateRecord`."""
    digest: str
    """Digest of all positions."""
    signals: Mapping[str, SignalState]
    """Every traffic light, in its own program."""
    actions: bytes
    """All commands given to the signals since the begin of the run, as lines of
    :class:`shared.dataset.Action`."""
    verified_s: int
    """Seconds after the moment for which the replay was compared with the episode."""


@dataclass(frozen=True)
class ShownSpan:
    """A part of an episode that was repeated and watched."""

    first_step: int
    """The number of the step in which it begins."""
    answers: tuple[bytes, ...]
    """The answers before that step and after each step of the span, as JSON of
    :class:`shared.wire.episodes.StepAnswer`; the episode's id in them means nothing."""
    frames: bytes
    """JSON of :class:`shared.wire.viewing.episode_traces.EpisodeFrames`."""


@dataclass(frozen=True)
class EpisodeReply:
    """The result of a call."""

    at: Position
    """The episode's position now."""
    needs_origin: bool = False
    """True if nothing was done because there is no process of it here."""
    error: GreenforkError | None = None
    answer: bytes = b""
    """JSON of a :class:`shared.wire.episodes.StepAnswer`, or of the answer to ``score``."""
    time_s: float = 0.0
    signals: tuple[str, ...] = ()
    """Ids of the controlled signals."""
    actions: bytes = b""
    """The commands that this step gave to the signals, as JSON lines."""
    end: EpisodeEnd | None = None
    """The results, if the end is reached."""
    saved: SavedMoment | None = None
    """The result of ``state``."""
    shown: ShownSpan | None = None
    """The result of ``show``."""
    replayed: int = 0
    """Number of steps replayed for the call."""
    is_opened: bool = False
    """Whether a simulation was opened for the call."""
    ran_s: float = 0.0
    """Wall-clock seconds that the worker took."""


@dataclass(frozen=True)
class EpisodeBatch:
    """The results of calls, in their order."""

    replies: tuple[EpisodeReply, ...]
    parked: tuple[str, ...] = ()
    """Episodes whose processes were ended because there was no room."""
    live: int = 0
    """Number of episodes that have a process here now."""
