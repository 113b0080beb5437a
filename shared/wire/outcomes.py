"""The messages of ``GET /v1/states/{state_id}/outcomes``: every legal decision, ranked."""

from typing import Literal

from pydantic import Field

from shared.decisions import MAX_GREEN_S, Decision, DecisionKind
from shared.domains.reward_names import AnyTerm
from shared.model import WireModel
from shared.rewards import AnyMetricName, FollowUp, RewardSpec, ShownMetrics
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, TlsId
from shared.wire.states import Fidelity, Restore, Simulator
from shared.wire.viewing.traces import ShownTrace

__all__ = ["OutcomesQuery", "OutcomesResponse", "RankedOutcome", "ReferenceOutcome"]


class OutcomesQuery(WireModel):
    """What is asked, as parameters of the URL."""

    tls_id: TlsId | None = None
    """The signal; may be left out where exactly one of the state's can be decided."""
    kind: DecisionKind = "extend"
    """The kind of decision that is enumerated."""
    reward: AnyTerm = "queue_gain"
    """A reward of traffic, other than a sum."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Length of each rollout, seconds of simulated time."""
    follow_up: FollowUp = "program"
    """Who runs the signal after the decision."""
    extend_s: int = Field(default=5, ge=1, le=MAX_GREEN_S)
    """Seconds that a *yes* adds, and between the decision points of a plan."""
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds after which what is not done is answered as failed."""
    metrics: tuple[AnyMetricName, ...] | None = Field(default=None, min_length=1)
    """Only these are in the outcomes' ``metrics``, repeatable; None: all."""
    trace: bool = False
    """Whether the outcomes tell where everything was in each second; see
    :attr:`shared.wire.scoring.ScoreRequest.trace`."""
    reference_trace: bool = False
    """Whether the program left alone does, and nothing else; with ``trace`` it does anyway."""

    def spec(self) -> RewardSpec:
        """The reward as scoring knows it."""
        return RewardSpec(name=self.reward, horizon_s=self.horizon_s, follow_up=self.follow_up)


class RankedOutcome(WireModel):
    """One legal decision and how good it is. What could not be computed is null, never a number."""

    decision: Decision
    status: Literal["scored", "failed"]
    reward: float | None
    regret: float | None
    """The best reward minus this one; 0 of the best."""
    rank: int | None
    """1 of the best; one more than the number of better ones, so that equals share a rank."""
    metrics: ShownMetrics | None = None
    cached: bool = False
    """Whether every rollout behind the reward was known before this request."""
    error: ErrorInfo | None = None
    trace: ShownTrace = None
    """What was to be seen, where it was asked for; else left out."""


class ReferenceOutcome(WireModel):
    """The program left alone."""

    reward: float | None
    """Its own reward under the same formula: 0 of ``queue_gain``."""
    metrics: ShownMetrics | None = None
    error: ErrorInfo | None = None
    trace: ShownTrace = None
    """What was to be seen, where it was asked for; else left out."""


class OutcomesResponse(WireModel):
    """Every legal decision of one kind at one signal in one state."""

    state_id: str
    tls_id: str
    kind: DecisionKind
    reward: RewardSpec
    best: Decision | None
    """The decision of the first outcome; null where none was scored."""
    outcomes: tuple[RankedOutcome, ...]
    """The best first; equals in the order in which decisions are enumerated; failures last."""
    reference: ReferenceOutcome
    restore: Restore
    fidelity: Fidelity = "bundle"
    """Whether they were computed in the user's own simulation."""
    counts: Counts
    simulator: Simulator
