"""The result of an evaluation, as it is written to JSON."""

from collections.abc import Callable, Sequence

from pydantic import Field

from shared.model import WireModel
from shared.rewards import TermName
from shared.wire.error_info import ErrorInfo
from shared.wire.states import Fidelity
from trainer.evaluation.bootstrap import LEVEL, Bootstrap
from trainer.evaluation.comparison import PairedComparison
from trainer.evaluation.figures import Figures, Observation, summarised
from trainer.evaluation.points import DecisionPoint, SplitName

__all__ = ["Evaluation", "Failure", "PolicyReport", "policy_report"]


class Failure(WireModel):
    """A decision point on which no policy could be judged."""

    state_id: str
    tls_id: str
    error: ErrorInfo


class PolicyReport(WireModel):
    """How one policy did."""

    policy: str
    """The name of a baseline, or the path of a model."""
    overall: Figures
    by_domain: dict[str, Figures]
    """Figures by scenario."""
    by_difficulty: dict[str, Figures]
    """Figures by range of ``difficulty``; points without a difficulty are left out."""
    against: PairedComparison | None = None
    """The comparison with the policy named by ``against``, if there is one."""


class Evaluation(WireModel):
    """How policies did on the same decision points."""

    reward: TermName
    horizon_s: int
    datasets: tuple[str, ...]
    split: SplitName
    points: int
    """Number of decision points that policies were judged on."""
    runs: int
    """Number of simulation runs that these points are from."""
    fidelity: dict[Fidelity, int] = Field(default_factory=dict)
    """Number of points by whether their states are of the user's own simulation."""
    min_gap_veh: float
    resamples: int
    seed: int
    """Seed of the resampling."""
    level: float = LEVEL
    """Confidence level of the intervals."""
    against: str | None = None
    """The policy that all others are compared with."""
    failures: tuple[Failure, ...]
    policies: tuple[PolicyReport, ...]

    @property
    def failed(self) -> int:
        """Number of points and decisions that could not be rolled out."""
        decisions = sum(sum(one.overall.failed.values()) for one in self.policies)
        return len(self.failures) + decisions


def policy_report(
    name: str,
    observations: Sequence[Observation],
    bootstrap: Bootstrap,
    min_gap_veh: float,
    against: PairedComparison | None = None,
) -> PolicyReport:
    """Sums up a policy's answers: all of them, by scenario, and by difficulty.

    Args:
        name: The policy's name.
        observations: What became of its answers.
        bootstrap: How intervals are made.
        min_gap_veh: See :func:`trainer.evaluation.figures.summarised`.
        against: Its comparison with another policy.
    """

    def by(label: Callable[[DecisionPoint], str | None]) -> dict[str, Figures]:
        groups: dict[str, list[Observation]] = {}
        for one in observations:
            if (key := label(one.judged.point)) is not None:
                groups.setdefault(key, []).append(one)
        return {key: summarised(groups[key], bootstrap, min_gap_veh) for key in sorted(groups)}

    return PolicyReport(
        policy=name,
        overall=summarised(observations, bootstrap, min_gap_veh),
        by_domain=by(lambda point: point.domain),
        by_difficulty=by(lambda point: point.difficulty),
        against=against,
    )
