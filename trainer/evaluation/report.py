"""What an evaluation hands back, as JSON has it."""

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
    """A decision point that nobody was judged on."""

    state_id: str
    tls_id: str
    error: ErrorInfo


class PolicyReport(WireModel):
    """How one policy did."""

    policy: str
    """The name of a baseline, or the path of a model."""
    overall: Figures
    by_domain: dict[str, Figures]
    """By scenario."""
    by_difficulty: dict[str, Figures]
    """By the part of the range of ``difficulty`` that points lie in; those without are not here."""
    against: PairedComparison | None = None
    """Beside the policy that all are compared with, where there is one."""


class Evaluation(WireModel):
    """How policies did on the same decision points."""

    reward: TermName
    horizon_s: int
    datasets: tuple[str, ...]
    split: SplitName
    points: int
    """Decision points that policies were judged on."""
    runs: int
    """Simulation runs that these are from."""
    fidelity: dict[Fidelity, int] = Field(default_factory=dict)
    """The points by whether they are of the user's own simulation."""
    min_gap_veh: float
    resamples: int
    seed: int
    """Of the resampling."""
    level: float = LEVEL
    """Of the intervals."""
    against: str | None = None
    """The policy that all others are compared with."""
    failures: tuple[Failure, ...]
    policies: tuple[PolicyReport, ...]

    @property
    def failed(self) -> int:
        """Points and decisions that could not be rolled out."""
        decisions = sum(sum(one.overall.failed.values()) for one in self.policies)
        return len(self.failures) + decisions


def policy_report(
    name: str,
    observations: Sequence[Observation],
    bootstrap: Bootstrap,
    min_gap_veh: float,
    against: PairedComparison | None = None,
) -> PolicyReport:
    """Sums a policy's answers up: all of them, and by what their points have in common.

    Args:
        name: The policy's.
        observations: What became of its answers.
        bootstrap: How intervals are made.
        min_gap_veh: See :func:`trainer.evaluation.figures.summarised`.
        against: How it did beside another policy.
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
