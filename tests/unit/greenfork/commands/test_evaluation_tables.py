"""What columns of an evaluation say."""

from pathlib import Path

import pytest

from greenfork.commands.evaluation_tables import print_evaluation
from shared.decisions import Extend
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.bootstrap import Bootstrap, Estimate
from trainer.evaluation.choices import Judged, PolicyAnswer
from trainer.evaluation.figures import observed
from trainer.evaluation.points import read_points
from trainer.evaluation.report import Evaluation, policy_report
from trainer.evaluation.worth import stored_worth


def test_the_regret_in_another_rewards_unit_leaves_invalid_answers_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the one in vehicles beside it does."""
    (point,) = read_points([save_dataset(tmp_path / "net", [Moment()])], "eval")
    worth = stored_worth(point.outcomes or (), "queue")
    assert worth is not None
    seen = [observed(Judged(point, worth), PolicyAnswer(Extend(extend=True)))]
    report = policy_report("mine", seen, Bootstrap(), 0.1)
    two = {
        "regret": Estimate(value=7.25, low=None, high=None),
        "regret_invalid_worst": Estimate(value=9.5, low=None, high=None),
    }
    evaluation = Evaluation(
        reward="wait",
        horizon_s=60,
        datasets=("net",),
        split="eval",
        points=1,
        runs=1,
        min_gap_veh=0.1,
        resamples=1000,
        seed=0,
        failures=(),
        policies=(report.model_copy(update={"overall": report.overall.model_copy(update=two)}),),
    )
    print_evaluation(evaluation, ())
    shown = capsys.readouterr().out
    assert "7.25" in shown
    assert "9.5" not in shown
