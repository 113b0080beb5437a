"""Policies beside each other, on the points that both were judged on."""

from pathlib import Path

import pytest

from shared.errors import ConfigError
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation import EvaluationPlan, evaluate
from trainer.evaluation.bootstrap import Estimate


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Regrets of yes: 1 and 0; of no: 0 and 3."""
    moments = [
        Moment(yes_veh=4.0, no_veh=3.0),
        Moment(yes_veh=1.0, no_veh=4.0, run="seed2"),
    ]
    return save_dataset(tmp_path / "net", moments)


def test_pairs_by_hand(dataset: Path) -> None:
    """Differences of +1 and -3, each with its run; the reference itself has none."""
    plan = EvaluationPlan(
        (dataset,), baselines=("always-yes", "always-no", "oracle"), against="always-no"
    )
    found = evaluate(plan)
    yes, no, oracle = found.policies
    assert found.against == "always-no"
    assert no.against is None
    assert yes.against is not None
    assert (yes.against.policy, yes.against.points) == ("always-no", 2)
    assert yes.against.difference_veh == Estimate(value=-1.0, low=-3.0, high=1.0)
    assert yes.against.ratio is None, "a resample may hold only the run in which no is right"
    assert oracle.against is not None
    assert oracle.against.difference_veh.value == -1.5


def test_nobody_of_that_name(dataset: Path) -> None:
    """Is said with the names that there are, before anything is judged."""
    plan = EvaluationPlan((dataset,), baselines=("oracle", "random"), against="runs/sft")
    with pytest.raises(ConfigError, match=r"runs/sft: .*oracle, random"):
        evaluate(plan)
