"""``evaluate``: judges policies on held-out decision points. Owns the steps, not the figures.

The worth of every decision is looked up once for all policies; then each policy decides, and its
decisions are compared.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reward_client import RewardClient
from shared.errors import ConfigError, DatasetError, ServiceRefused
from shared.rewards import Metrics, TermName
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreResult
from trainer.evaluation.answers import Generation, ModelPolicy
from trainer.evaluation.baselines import Baseline, BaselineName, applicable
from trainer.evaluation.bootstrap import Bootstrap
from trainer.evaluation.choices import Judged, Policy, Progress
from trainer.evaluation.comparison import compared
from trainer.evaluation.figures import Observation, observed
from trainer.evaluation.points import DecisionPoint, SplitName, read_points
from trainer.evaluation.report import Evaluation, Failure, PolicyReport, policy_report
from trainer.evaluation.service import OutcomeService
from trainer.evaluation.worth import Valued, Worth, stored_worth
from trainer.models.loading import check_model

if TYPE_CHECKING:
    from trainer.examples.choosing import ExampleChooser

__all__ = ["EvaluationPlan", "evaluate"]


@dataclass(frozen=True)
class EvaluationPlan:
    """What is evaluated, on what, and how."""

    datasets: tuple[Path, ...]
    split: SplitName = "eval"
    max_points: int | None = None
    """Maximum number of decision points, evenly spread over all of them; None takes all."""
    baselines: tuple[BaselineName, ...] | None = None
    """None takes every baseline that can decide at these points."""
    models: tuple[str, ...] = ()
    """Folders of models or adapters, or ``smollm2-135m``."""
    reward: TermName = "queue"
    horizon_s: int | None = None
    """Seconds that decisions are judged over; None takes the datasets' own."""
    connect: Callable[[], RewardClient] | None = None
    """Makes a client of the reward service; None if there is no service to ask."""
    generation: Generation = field(default_factory=Generation)
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    min_gap_veh: float = 0.1
    seed: int = 0
    """Seed of the ``random`` baseline."""
    examples: tuple[str, ...] = ("none",)
    """How solved points are chosen to be shown before each question; each makes a policy of every
    model."""
    examples_from: Path | None = None
    """The folder that they are chosen from; None if there is none."""
    against: str | None = None
    """The policy that all others are compared with; one of those being judged."""

    def policies(self, points: Sequence[DecisionPoint]) -> list[Policy]:
        """Baselines first, in the order given.

        Raises:
            ConfigError: ``against`` is none of them.
        """
        names = applicable(points) if self.baselines is None else self.baselines
        baselines = [Baseline(name, self.seed) for name in names]
        policies: list[Policy] = [
            *baselines,
            *(
                ModelPolicy(path, self.generation, self._chooser(way))
                for path in self.models
                for way in self.examples
            ),
        ]
        if self.against not in (None, *(policy.name for policy in policies)):
            listed = ", ".join(policy.name for policy in policies)
            raise ConfigError(f"against {self.against}: it is not one of the policies, {listed}")
        return policies

    def _chooser(self, way: str) -> "ExampleChooser | None":
        """What chooses examples in one way; None where none are shown."""
        from trainer.examples.choosing import ExampleChooser, check_way

        if check_way(way) == "none":
            return None
        if self.examples_from is None:
            raise ConfigError(f"--examples {way} needs --examples-from, a folder of examples")
        return ExampleChooser(way, self.examples_from, self.seed)


def evaluate(plan: EvaluationPlan, progress: Progress = lambda *_: None) -> Evaluation:
    """Judges every policy of a plan on the same decision points.

    Args:
        plan: What is evaluated, on what, and how.
        progress: Called as the evaluation proceeds.

    Raises:
        InputError: A dataset, a model or a setting is unusable, or the datasets lack what the
            reward needs and there is no service to ask.
        ServiceError: The reward service does not answer, or knows none of the states.
    """
    for path in plan.models:
        check_model(path)
    points = _spread(read_points(plan.datasets, plan.split), plan.max_points)
    policies = plan.policies(points)
    horizon_s = _horizon_s(points, plan.horizon_s)
    service = (
        OutcomeService(plan.connect, plan.reward, horizon_s) if plan.connect is not None else None
    )
    judged, failures = _parted(points, _worths(points, plan, horizon_s, service, progress))
    observations = {
        policy.name: _observations(policy, judged, service, progress) for policy in policies
    }
    return Evaluation(
        reward=plan.reward,
        horizon_s=horizon_s,
        datasets=tuple(str(root) for root in plan.datasets),
        split=plan.split,
        points=len(judged),
        runs=len({one.point.run for one in judged}),
        fidelity=dict(Counter(one.point.fidelity for one in judged)),
        min_gap_veh=plan.min_gap_veh,
        resamples=plan.bootstrap.resamples,
        seed=plan.bootstrap.seed,
        failures=tuple(failures),
        against=plan.against,
        policies=tuple(_reports(plan, observations)),
    )


def _parted(
    points: Sequence[DecisionPoint], found: Sequence[Worth | ErrorInfo]
) -> tuple[list[Judged], list[Failure]]:
    """The points that can be judged, and those that cannot.

    Raises:
        ServiceRefused: None of them can be judged.
    """
    judged, failures = [], []
    for point, worth in zip(points, found, strict=True):
        if isinstance(worth, ErrorInfo):
            place = point.place
            failures.append(Failure(state_id=place.state_id, tls_id=place.tls_id, error=worth))
        else:
            judged.append(Judged(point, worth))
    if not judged:
        raise ServiceRefused(
            f"none of {len(points)} decision points could be judged; the first, "
            f"{failures[0].state_id}: {failures[0].error.message}",
            failures[0].error.code,
        )
    return judged, failures


def _reports(
    plan: EvaluationPlan, observations: Mapping[str, Sequence[Observation]]
) -> Iterator[PolicyReport]:
    for name, own in observations.items():
        comparison = None
        if plan.against is not None and name != plan.against:
            comparison = compared(own, plan.against, observations[plan.against], plan.bootstrap)
        yield policy_report(name, own, plan.bootstrap, plan.min_gap_veh, comparison)


def _spread(points: tuple[DecisionPoint, ...], most: int | None) -> tuple[DecisionPoint, ...]:
    """At most ``most`` points, evenly spread from the first to the last.

    >>> _spread(tuple(range(10)), 4)
    (0, 2, 5, 7)
    """
    if most is None or len(points) <= most:
        return points
    return tuple(points[number * len(points) // most] for number in range(most))


def _horizon_s(points: Sequence[DecisionPoint], wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    horizons = sorted({point.horizon_s for point in points})
    if len(horizons) > 1:
        listed = " and ".join(str(horizon_s) for horizon_s in horizons)
        raise ConfigError(f"the datasets were built for horizons of {listed} s: pass --horizon")
    return horizons[0]


def _worths(
    points: Sequence[DecisionPoint],
    plan: EvaluationPlan,
    horizon_s: int,
    service: OutcomeService | None,
    progress: Progress,
) -> list[Worth | ErrorInfo]:
    """The worth of each point's decisions, from the dataset if it suffices, else the service."""
    stored = [
        stored_worth(point.outcomes, plan.reward)
        if point.outcomes and point.horizon_s == horizon_s
        else None
        for point in points
    ]
    missing = [point for point, worth in zip(points, stored, strict=True) if worth is None]
    if missing and service is None:
        message = _says_too_little(missing, len(points), plan.reward, horizon_s)
        raise DatasetError(message, "no_outcomes")
    asked = iter(service.worths(missing, progress) if missing and service else ())
    return [next(asked) if worth is None else worth for worth in stored]


def _says_too_little(
    missing: Sequence[DecisionPoint], of: int, reward: TermName, horizon_s: int
) -> str:
    first = missing[0]
    if not first.outcomes:
        reason, way_out = "it has no outcomes", "build the dataset with --outcomes"
    elif first.horizon_s != horizon_s:
        reason = f"its outcomes are over {first.horizon_s} s"
        way_out = f"remove --horizon {horizon_s}"
    else:
        reason, way_out = f"stored metrics do not give the reward {reward}", "use --reward queue"
    return (
        f"{len(missing)} of {of} rows lack the outcomes of decisions "
        f"({first.name}: {reason}): {way_out}, or pass the --url of "
        "a reward service with these states"
    )


def _observations(
    policy: Policy,
    judged: Sequence[Judged],
    service: OutcomeService | None,
    progress: Progress,
) -> list[Observation]:
    """What became of a policy's answers; the service scores legal ones missing from the table."""
    chosen = policy.choose(judged, progress)
    seen = [
        observed(one, choice)
        for one, choices in zip(judged, chosen, strict=True)
        for choice in choices
    ]
    if service is None:
        return seen
    asked = [
        (one.judged.point, one.decision)
        for one in seen
        if one.status == "unscored" and one.decision is not None
    ]
    results = iter(service.scored(asked))
    return [_with(one, next(results)) if one.status == "unscored" else one for one in seen]


def _with(one: Observation, result: ScoreResult) -> Observation:
    """An answer that was not in the table, as the service scored it."""
    code = result.error.code if result.error else None
    if result.status == "invalid":
        return replace(one, status="invalid", decision=None, code=code)
    if (
        result.status == "failed"
        or result.reward is None
        or not isinstance(result.metrics, Metrics)
    ):
        return replace(one, status="failed", code=code or "no_reward")
    assert one.decision is not None  # noqa: S101 - what is unscored has a decision
    chosen = Valued(one.decision, result.reward, result.metrics.queue_veh)
    return replace(one, status="scored", chosen=chosen)
