"""Judges policies of any kind on the decision points of some datasets: the figures, intervals and
pairs of ``greenfork evaluate``, with the ceiling and a policy that cannot count among them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.learning.references import ByPhase, GradientBoosting
from shared.errors import DatasetError
from trainer.evaluation.answers import Generation, ModelPolicy
from trainer.evaluation.baselines import Baseline, BaselineName
from trainer.evaluation.bootstrap import Bootstrap
from trainer.evaluation.choices import Judged, Policy
from trainer.evaluation.comparison import compared
from trainer.evaluation.figures import Observation, observed
from trainer.evaluation.points import read_points
from trainer.evaluation.report import Evaluation, PolicyReport, policy_report
from trainer.evaluation.worth import stored_worth

__all__ = ["BY_PHASE", "CEILING", "RULES", "judged_points", "judgement"]

CONSTANTS: tuple[BaselineName, ...] = ("always-yes", "always-no")
RULES: tuple[BaselineName, ...] = ("longest-queue", "most-vehicles")
BY_PHASE = "by-phase"
CEILING = "gradient-boosting"
_MIN_GAP_VEH = 0.1
_ANSWER_TOKENS = 24
_PROMPTS_AT_ONCE = 128


def judged_points(family: Path) -> tuple[Judged, ...]:
    """All decision points of a folder of datasets, with what each decision is worth.

    Raises:
        DatasetError: A row lacks its outcomes, or there are no rows.
    """
    judged = []
    for point in read_points(_datasets(family), "all"):
        worth = stored_worth(point.outcomes or (), "queue")
        if worth is None:
            raise DatasetError(f"{point.name} has no outcomes", "no_outcomes")
        judged.append(Judged(point, worth))
    return tuple(judged)


def judgement(
    family: Path,
    trained_on: Sequence[Judged],
    models: Sequence[tuple[str, Path]],
    against: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """How constants, rules, the ceiling and models do, greedily, on all points of some datasets.

    Args:
        family: The folder of the datasets.
        trained_on: What the ceiling learns from.
        models: Folders, by the names that tables have for them.
        against: The policy that all others are compared with, pair by pair.
        say: Told who is judged.
    """
    judged = judged_points(family)
    seen: dict[str, list[Observation]] = {}
    for name, policy in _policies(trained_on, models).items():
        say(f"  {name} on {len(judged)} points")
        seen[name] = _observations(policy, judged)
    bootstrap = Bootstrap()
    return Evaluation(
        reward="queue",
        horizon_s=judged[0].point.horizon_s,
        datasets=tuple(str(root) for root in _datasets(family)),
        split="all",
        points=len(judged),
        runs=len({one.point.run for one in judged}),
        min_gap_veh=_MIN_GAP_VEH,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        against=against,
        failures=(),
        policies=tuple(_report(name, seen, against, bootstrap) for name in seen),
    )


def _datasets(family: Path) -> list[Path]:
    return sorted(path.parent for path in family.glob("*/manifest.json"))


def _policies(
    trained_on: Sequence[Judged], models: Sequence[tuple[str, Path]]
) -> dict[str, Policy]:
    generation = Generation(max_new_tokens=_ANSWER_TOKENS, batch_size=_PROMPTS_AT_ONCE)
    found: dict[str, Policy] = {name: Baseline(name) for name in (*CONSTANTS, *RULES)}
    if trained_on:
        found[BY_PHASE] = ByPhase(tuple(trained_on))
        found[CEILING] = GradientBoosting(tuple(trained_on))
    return found | {name: ModelPolicy(str(path), generation) for name, path in models}


def _observations(policy: Policy, judged: Sequence[Judged]) -> list[Observation]:
    chosen = policy.choose(judged, lambda *_: None)
    return [
        observed(one, choice)
        for one, choices in zip(judged, chosen, strict=True)
        for choice in choices
    ]


def _report(
    name: str, seen: dict[str, list[Observation]], against: str | None, bootstrap: Bootstrap
) -> PolicyReport:
    beside = None
    if against is not None and name != against:
        beside = compared(seen[name], against, seen[against], bootstrap)
    return policy_report(name, seen[name], bootstrap, _MIN_GAP_VEH, beside)
