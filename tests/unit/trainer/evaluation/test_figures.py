"""From answers to means, by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.decisions import Extend, NextPhase, PlanStep
from shared.decisions import Plan as PlanDecision
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.bootstrap import Bootstrap, Estimate
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.figures import Figures, observed, summarised
from trainer.evaluation.points import read_points
from trainer.evaluation.report import policy_report
from trainer.evaluation.worth import stored_worth

YES, NO = Extend(extend=True), Extend(extend=False)
MOMENTS = (
    Moment(yes_veh=4.0, no_veh=3.0, difficulty=0.1),
    Moment(yes_veh=1.0, no_veh=2.5, difficulty=0.5),
    Moment(yes_veh=2.0, no_veh=2.0625, run="seed2", difficulty=0.6),
    Moment(yes_veh=5.0, no_veh=5.0, run="seed2", difficulty=1.0),
)


@pytest.fixture
def judged(tmp_path: Path) -> list[Judged]:
    """Four points of two runs: gaps of 1, 1.5, 0.0625 and 0 vehicles."""
    points = read_points([save_dataset(tmp_path / "net", MOMENTS)], "eval")
    worths = [stored_worth(point.outcomes or (), "queue") for point in points]
    return [Judged(point, worth) for point, worth in zip(points, worths, strict=True) if worth]


def figures(judged: list[Judged], *choices: PolicyAnswer, min_gap_veh: float = 0.1) -> Figures:
    """Of one answer a point."""
    seen = [observed(one, choice) for one, choice in zip(judged, choices, strict=True)]
    return summarised(seen, Bootstrap(), min_gap_veh)


def value(estimate: Estimate | None) -> float | None:
    """Without the interval."""
    return None if estimate is None else estimate.value


def test_always_yes_by_hand(judged: list[Judged]) -> None:
    """Regrets 1, 0, 0, 0; a tie is an agreement; two points are clear."""
    found = figures(judged, *[PolicyAnswer(YES)] * 4)
    assert (found.points, found.runs, found.answers, found.scored) == (4, 2, 4, 4)
    assert found.regret == found.regret_veh == Estimate(value=0.25, low=0.0, high=0.5)
    assert found.regret_invalid_worst == found.regret
    assert (value(found.agreement), value(found.agreement_clear)) == (0.75, 0.5)
    assert (value(found.yes), value(found.invalid_share), found.strict) == (1.0, 0.0, None)


@pytest.mark.parametrize(("gap", "agreement"), [(0.0625, 0.5), (0.06, 2 / 3), (0.0, 2 / 3)])
def test_clear_is_more_than_the_gap(judged: list[Judged], gap: float, agreement: float) -> None:
    """Never where both lead to the same."""
    assert (
        value(figures(judged, *[PolicyAnswer(YES)] * 4, min_gap_veh=gap).agreement_clear)
        == agreement
    )


def test_invalid_answers_stand_beside(judged: list[Judged]) -> None:
    """Out of the regret, the worst in the other one, and no agreement."""
    invalid = PolicyAnswer(None, "no_json", is_strict=False)
    found = figures(
        judged, invalid, PolicyAnswer(NO, None, True), invalid, PolicyAnswer(NO, None, False)
    )
    assert (found.scored, found.invalid) == (2, {"no_json": 2})
    assert value(found.regret_veh) == 1.5 / 2
    assert value(found.regret_veh_invalid_worst) == (1 + 1.5 + 0.0625 + 0) / 4
    assert (value(found.agreement), value(found.agreement_clear)) == (0.25, 0.0)
    assert (value(found.yes), value(found.invalid_share)) == (0.0, 0.5)
    assert value(found.strict) == 0.25


def test_what_nobody_scored_is_left_out(judged: list[Judged]) -> None:
    """A legal answer that is not in the table has no regret, but is a yes."""
    longer = PolicyAnswer(Extend(extend=True, extend_s=20))
    found = figures(judged, longer, PolicyAnswer(NO), PolicyAnswer(YES), PolicyAnswer(NO))
    assert (found.answers, found.scored, found.unscored) == (4, 3, 1)
    assert value(found.regret) == 0.5
    assert value(found.agreement) == 2 / 3
    assert value(found.yes) == 0.5


@pytest.mark.parametrize(
    ("phase", "green_s", "code"), [(7, 20, "unknown_phase"), (2, 61, "above_max_green")]
)
def test_what_breaks_a_rule_is_invalid(tmp_path: Path, phase: int, green_s: int, code: str) -> None:
    """Nobody need be asked: it counts as the worst decision, and not as one that was left out."""
    (point,) = read_points([save_dataset(tmp_path / "net", [Moment(kind="phase")])], "eval")
    worth = stored_worth(point.outcomes or (), "queue")
    assert worth is not None
    choice = PolicyAnswer(NextPhase(next_phase=phase, green_s=green_s))
    found = figures([Judged(point, worth)], choice)
    assert (found.invalid, found.unscored) == ({code: 1}, 0)
    assert (value(found.invalid_share), value(found.agreement)) == (1.0, 0.0)
    assert value(found.regret_veh_invalid_worst) == 1.0
    unknown = figures([Judged(replace(point, signal=None), worth)], choice)
    assert (unknown.invalid, unknown.unscored) == ({}, 1)


def test_nothing_judged_is_null(judged: list[Judged]) -> None:
    """No mean is made up, neither of regret nor of agreement."""
    found = figures(judged, *[PolicyAnswer(PlanDecision(steps=(PlanStep(extend=True),)))] * 4)
    assert found.unscored == 4
    estimates = (found.regret, found.regret_invalid_worst, found.agreement, found.yes)
    assert estimates == (None, None, None, None)


def test_groups_have_what_is_theirs(judged: list[Judged]) -> None:
    """By domain and by difficulty, each with the figures of its points alone."""
    seen = [observed(one, PolicyAnswer(NO)) for one in judged]
    report = policy_report("x", seen, Bootstrap(), 0.1)
    assert report.by_domain == {"net": report.overall}
    means = {label: value(one.regret) for label, one in report.by_difficulty.items()}
    assert means == {"0.00-0.33": 0.0, "0.33-0.67": (1.5 + 0.0625) / 2, "0.67-1.00": 0.0}
    hard = report.by_difficulty["0.67-1.00"]
    assert hard.agreement_clear is None
    assert (hard.points, hard.runs) == (1, 1)
