"""The ceiling: what it reads and what it decides."""

from pathlib import Path

import pytest

from benchmarks.learning.judging import CEILING, judged_points, judgement
from benchmarks.learning.references import GradientBoosting, features
from shared.decisions import Extend
from shared.errors import DatasetError
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset


def busy(queued: int, waiting: int, run: str = "seed1") -> Moment:
    """A point at which extending is right exactly where the green's own queue is longer."""
    gap = queued - waiting
    return Moment(yes_veh=10.0 - gap / 2, no_veh=10.0 + gap / 2, run=run, queued=(queued, waiting))


MOMENTS = [busy(own, other, f"seed{own % 3}") for own in range(0, 20, 2) for other in (1, 7, 15)]


def test_features_are_the_prompt_from_the_current_phase_on(tmp_path: Path) -> None:
    """Elapsed and left, differences to the strongest other, then the phases in order."""
    save_dataset(tmp_path / "net", [Moment(queued=(4, 9), approaching=(3, 1))])
    (one,) = judged_points(tmp_path)
    row = features(one.point)
    assert row[:10] == [12, 48, 4 - 9, 7 - 10, 10, 2, 0, 4, 3, 0]
    assert row[10:13] == [9, 1, 0]
    assert row[13:] == [-1.0] * 6


def test_it_learns_a_rule_from_outcomes(tmp_path: Path) -> None:
    """Where the prompt decides what is best, it finds out, and beats both constants."""
    save_dataset(tmp_path / "train" / "net", MOMENTS * 3)
    save_dataset(tmp_path / "judged" / "net", MOMENTS)
    trained_on = judged_points(tmp_path / "train") * 3
    found = judgement(tmp_path / "judged", trained_on, [], against="always-no")
    by_name = {one.policy: one for one in found.policies}
    ceiling = by_name[CEILING].overall
    assert ceiling.agreement is not None
    assert ceiling.agreement.value > 0.9
    assert by_name[CEILING].against is not None
    assert found.points == len(MOMENTS)


def test_where_little_depends_on_it_the_larger_gap_decides(tmp_path: Path) -> None:
    """It weighs points by what is at stake: one of ten vehicles against several of one."""
    moments = [Moment(yes_veh=1.0, no_veh=11.0)] + [Moment(yes_veh=2.0, no_veh=1.0)] * 4
    save_dataset(tmp_path / "net", moments)
    judged = judged_points(tmp_path)
    (choices, *_) = GradientBoosting(judged * 8).choose(judged, lambda *_: None)
    assert choices[0].decision == Extend(extend=True, extend_s=5)


def test_points_without_outcomes_are_refused(tmp_path: Path) -> None:
    """Nothing is judged by half."""
    save_dataset(tmp_path / "net", [Moment(yes_veh=None)])
    with pytest.raises(DatasetError, match="no outcomes"):
        judged_points(tmp_path)
