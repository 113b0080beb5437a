"""The policy that cannot count: what it goes by."""

from pathlib import Path

from benchmarks.learning.judging import BY_PHASE, judged_points, judgement
from benchmarks.learning.references import ByPhase
from shared.decisions import Extend
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset

LONG, SHORT = Moment(yes_veh=2.0, no_veh=9.0, queued=(9, 0)), Moment(yes_veh=5.0, no_veh=4.0)


def test_it_answers_what_was_better_in_sum_whatever_the_counts(tmp_path: Path) -> None:
    """One point of seven vehicles outweighs three of one."""
    save_dataset(tmp_path / "train" / "net", [LONG, SHORT, SHORT, SHORT])
    save_dataset(tmp_path / "judged" / "net", [LONG, SHORT])
    policy = ByPhase(judged_points(tmp_path / "train"))
    chosen = policy.choose(judged_points(tmp_path / "judged"), lambda *_: None)
    assert [one.decision for (one,) in chosen] == [Extend(extend=True, extend_s=5)] * 2


def test_a_green_never_seen_gets_no(tmp_path: Path) -> None:
    """There is nothing to go by."""
    save_dataset(tmp_path / "net", [LONG])
    ((choice,),) = ByPhase(()).choose(judged_points(tmp_path), lambda *_: None)
    assert choice.decision == Extend(extend=False, extend_s=5)


def test_it_is_judged_beside_the_others(tmp_path: Path) -> None:
    """Wherever there is something that it can go by."""
    save_dataset(tmp_path / "net", [LONG, SHORT])
    judged = judged_points(tmp_path) * 20
    assert BY_PHASE in {one.policy for one in judgement(tmp_path, judged, []).policies}
    assert BY_PHASE not in {one.policy for one in judgement(tmp_path, (), []).policies}
