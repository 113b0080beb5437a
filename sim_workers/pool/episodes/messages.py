"""What the gateway says to a worker about episodes, and what that answers.

They travel by Ray, which pickles them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.errors import GreenforkError
from shared.signals import SignalState
from shared.wire.episode_views import CandidatesRequest
from shared.wire.episodes import StepRequest
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
]

EpisodeVerb = Literal["begin", "step", "score", "fork", "state"]


@dataclass(frozen=True)
class EpisodeOrigin:
    """All that an episode is replayed from, for a worker that has no process of it."""

    spec: EpisodeSpec
    steps: tuple[StepRequest, ...]
    """Up to the position of the call."""
    scenario_id: str
    scenario: Mapping[str, bytes] | None
    """Its files by name; None where the worker has them already."""
    replay: Replay | None = None
    """What leads from the begin of the run, or from the state's file, to the episode's begin."""
    digest: str | None = None
    """Of where everything is at the episode's begin, 16 hex digits; None: nobody knows."""
    state_id: str | None = None
    """Of the state whose file it begins from."""
    state: bytes | None = None
    """That file; None where it begins without one."""
    read: Mapping[str, int] | None = None
    """How far the run had read its demand then; see :class:`shared.wire.states.StateRecord`."""
    elapsed_s: Mapping[str, float] = field(default_factory=dict)
    """How long each signal's phase had been shown then, where a file was loaded."""


@dataclass(frozen=True)
class EpisodeCall:
    """Something to be done about one episode."""

    episode_id: str
    scenario_id: str
    verb: EpisodeVerb
    at: Position
    """Where its record is; a process that is elsewhere is not used."""
    step: StepRequest | None = None
    """For ``step``, in canonical form."""
    candidates: CandidatesRequest | None = None
    """For ``score``."""
    fork_id: str = ""
    """For ``fork``: the name of the other episode."""
    origin: EpisodeOrigin | None = None
    """None where the worker is expected to have a process of it."""


@dataclass(frozen=True)
class EpisodeEnd:
    """What is left of an episode that has reached its end."""

    figures: bytes
    """JSON of :class:`shared.wire.episodes.EpisodeFigures`."""
    tripinfo: bytes
    """SUMO's own output."""


@dataclass(frozen=True)
class SavedMoment:
    """A moment of an episode, which can be brought back by a replay of its run."""

    state_id: str
    time_s: float
    content: bytes
    """The state file."""
    read: Mapping[str, int] | None
    """As :class:`shared.wire.states.StateRecord` has it."""
    digest: str
    """Of where everything is."""
    signals: Mapping[str, SignalState]
    """Every traffic light, in its own program."""
    actions: bytes
    """All that the signals were told since the begin of the run: lines of
    :class:`shared.dataset.Action`."""
    verified_s: int
    """For so many seconds afterwards the replay was compared with the episode."""


@dataclass(frozen=True)
class EpisodeReply:
    """What became of a call."""

    at: Position
    """Where the episode is now."""
    needs_origin: bool = False
    """Nothing was done: there is no process of it here."""
    error: GreenforkError | None = None
    answer: bytes = b""
    """JSON of a :class:`shared.wire.episodes.StepAnswer`; of ``score``, the JSON of its answer."""
    time_s: float = 0.0
    signals: tuple[str, ...] = ()
    """Those that are steered."""
    actions: bytes = b""
    """What this step told the signals: JSON lines."""
    end: EpisodeEnd | None = None
    """Where the end is reached."""
    saved: SavedMoment | None = None
    """Of ``state``."""
    replayed: int = 0
    """Steps that were replayed for it."""
    is_opened: bool = False
    """Whether a simulation was opened for it."""
    ran_s: float = 0.0
    """Wall-clock seconds of the worker."""


@dataclass(frozen=True)
class EpisodeBatch:
    """What became of calls, in their order."""

    replies: tuple[EpisodeReply, ...]
    parked: tuple[str, ...] = ()
    """Episodes whose processes were let go, for there was no room."""
    live: int = 0
    """Episodes that have a process here now."""
