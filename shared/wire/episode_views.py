"""Episodes as the gateway shows them: where one is, its result, and candidates at its moment.

What an episode is asked for and what a step answers is :mod:`shared.wire.episodes`.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StrictInt, model_validator

from shared.model import WireModel
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeDecision,
    EpisodeFigures,
    EpisodeReward,
    ProgramKind,
    StepAnswer,
    TlsId,
)
from shared.wire.error_info import ErrorInfo
from shared.wire.states import Simulator

__all__ = [
    "Candidate",
    "CandidateMetrics",
    "CandidateResult",
    "CandidateReward",
    "CandidatesRequest",
    "CandidatesResponse",
    "EpisodeDetail",
    "EpisodePage",
    "EpisodeResult",
    "EpisodeStatus",
    "EpisodeView",
]

_MAX_COMPLETION_CHARS = 262_144
_MAX_SIGNALS = 2_000
_MAX_CANDIDATES = 2_048

EpisodeStatus = Literal["running", "finished"]


class EpisodeView(WireModel):
    """Where an episode is."""

    episode_id: str
    status: EpisodeStatus
    """``finished``: its end is reached, and there is a result."""
    is_live: bool
    """Whether this gateway knows of a process of it; one that has none is replayed when needed."""
    scenario_id: str
    state_id: str | None = None
    """The state that it began from."""
    seed: int
    scale: float
    begin_s: float
    end_s: float
    time_s: float
    """Where it is now, seconds of simulated time."""
    step: int
    """Steps that are done, and the number of the next one."""
    signals: tuple[str, ...]
    """Those that are steered."""
    program: ProgramKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The type of program that replaces the signals' own."""
    control: EpisodeControl
    reward: EpisodeReward
    observe: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    """When its last step was done."""
    finished_at: datetime | None = None


class EpisodeDetail(EpisodeView):
    """An episode with what its last step was answered."""

    answer: StepAnswer


class EpisodePage(WireModel):
    """Some of a caller's episodes, the newest first."""

    episodes: tuple[EpisodeView, ...]
    total: int
    """All there are."""
    limit: int
    offset: int


class EpisodeResult(EpisodeFigures):
    """The figures of a finished episode, and what they are figures of."""

    episode_id: str
    scenario_id: str
    seed: int
    scale: float
    begin_s: float
    end_s: float
    steps: int
    simulator: Simulator


class Candidate(WireModel):
    """Decisions at the present moment: at one signal, as an item of ``POST /v1/score``, or at
    several, as in a step. Signals that are not named go on as they are.
    """

    id: str | int | None = None
    """Comes back with the result."""
    tls_id: TlsId | None = None
    decision: EpisodeDecision | None = None
    completion: Annotated[str, Field(max_length=_MAX_COMPLETION_CHARS)] | None = None
    decisions: dict[TlsId, EpisodeDecision] = Field(default={}, max_length=_MAX_SIGNALS)
    completions: dict[TlsId, Annotated[str, Field(max_length=_MAX_COMPLETION_CHARS)]] = Field(
        default={}, max_length=_MAX_SIGNALS
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = (self.decision is not None) + (self.completion is not None)
        if given != (self.tls_id is not None):
            raise ValueError("with tls_id goes one decision or one completion, without it neither")
        if self.tls_id is not None and (self.decisions or self.completions):
            raise ValueError("give either tls_id, or decisions and completions by signal")
        both = sorted(self.decisions.keys() & self.completions.keys())
        if both:
            raise ValueError(f"signal {both[0]} has both a decision and a completion")
        return self

    def by_signal(self) -> tuple[dict[str, EpisodeDecision], dict[str, str]]:
        """Decisions and completions by signal."""
        decisions, completions = dict(self.decisions), dict(self.completions)
        if self.tls_id is not None and self.decision is not None:
            decisions[self.tls_id] = self.decision
        if self.tls_id is not None and self.completion is not None:
            completions[self.tls_id] = self.completion
        return decisions, completions


class CandidateReward(WireModel):
    """What candidates are rewarded with."""

    name: Literal["delay", "queue"] = "delay"
    """``-delay_veh`` of the network, or ``-queue_veh``."""
    horizon_s: StrictInt = Field(default=60, ge=1, le=3600)
    """Simulated seconds; cut at the episode's end."""
    invalid_reward: FiniteFloat = -1.0


class CandidatesRequest(WireModel):
    """Body of ``POST /v1/episodes/{id}/score``."""

    items: tuple[Candidate, ...] = Field(min_length=1, max_length=_MAX_CANDIDATES)
    reward: CandidateReward = CandidateReward()
    base: Literal["keep", "greedy", "longest_queue", "max_pressure"] = "keep"
    """Who decides at the steps that follow within the horizon."""
    timeout_s: FiniteFloat = Field(default=30.0, gt=0, le=600)
    """Seconds of computing after which candidates that are not done fail."""
    step: StrictInt | None = Field(default=None, ge=0)
    """Try them where the episode was before this step, to which it is repeated first; it may be
    over. Null: at the present moment."""


class CandidateMetrics(WireModel):
    """What a candidate led to: means over the seconds of the horizon."""

    delay_veh: float
    """The network's delay."""
    queue_veh: float
    """Vehicles that stand on the incoming lanes of all signals that have something to decide."""


class CandidateResult(WireModel):
    """What became of a candidate."""

    id: str | int | None
    status: Literal["scored", "invalid", "failed"]
    reward: float | None
    """Null where it failed."""
    metrics: CandidateMetrics | None = None
    error: ErrorInfo | None = None


class CandidatesResponse(WireModel):
    """Answer to ``POST /v1/episodes/{id}/score``, in the order of the items."""

    episode_id: str
    step: int
    """The step at which they were tried."""
    time_s: float
    results: tuple[CandidateResult, ...]
