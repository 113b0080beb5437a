"""Rules decide as they say they do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decisions import Decision, Extend
from shared.errors import ConfigError, DatasetError
from sim_workers.engine import policies
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.baselines import BASELINES, Baseline, BaselineName, applicable, keeps_green
from trainer.evaluation.choices import Judged
from trainer.evaluation.points import read_points
from trainer.evaluation.worth import stored_worth

YES, NO = Extend(extend=True, extend_s=7), Extend(extend=False, extend_s=7)


def judged(root: Path, *moments: Moment) -> list[Judged]:
    """Decision points with what they are worth."""
    points = read_points([save_dataset(root, moments, extend_s=7)], "eval")
    worths = [stored_worth(point.outcomes or (), "queue") for point in points]
    return [Judged(point, worth) for point, worth in zip(points, worths, strict=True) if worth]


def decided(name: BaselineName, judged: list[Judged], seed: int = 0) -> list[Decision | None]:
    """The one decision at each point."""
    return [one.decision for [one] in Baseline(name, seed).choose(judged, lambda *_: None)]


@pytest.mark.parametrize(
    ("name", "moment", "decision"),
    [
        ("always-yes", Moment(), YES),
        ("always-no", Moment(), NO),
        ("oracle", Moment(yes_veh=2.0, no_veh=3.0), YES),
        ("oracle", Moment(yes_veh=4.0, no_veh=3.0), Extend(extend=False)),
        ("longest-queue", Moment(queued=(2, 3), approaching=(9, 0)), NO),
        ("longest-queue", Moment(queued=(3, 3), approaching=(0, 9)), YES),
        ("longest-queue", Moment(queued=(4, 3)), YES),
        ("most-vehicles", Moment(queued=(2, 3), approaching=(9, 0)), YES),
        ("most-vehicles", Moment(queued=(3, 3), approaching=(0, 9)), NO),
        ("most-vehicles", Moment(queued=(3, 1), approaching=(0, 2)), YES),
        ("max-pressure", Moment(queued=(5, 3), leaving=(3, 0)), NO),
        ("max-pressure", Moment(queued=(5, 3), leaving=(2, 0)), YES),
        ("max-pressure", Moment(queued=(5, 3), approaching=(0, 3), leaving=(0, 2)), YES),
    ],
)
def test_decides(name: BaselineName, moment: Moment, decision: Decision, tmp_path: Path) -> None:
    """A tie keeps the green; a yes adds the seconds that the prompt says."""
    assert decided(name, judged(tmp_path / "net", moment)) == [decision]


def test_chance_depends_on_the_seed_and_the_place(tmp_path: Path) -> None:
    """Not on the order of points; about half of them are yes."""
    points = judged(tmp_path / "net", *[Moment()] * 200)
    once = decided("random", points, seed=1)
    assert decided("random", points[::-1], seed=1) == once[::-1]
    assert decided("random", points, seed=2) != once
    assert 60 < sum(isinstance(one, Extend) and one.extend for one in once) < 140


def test_other_kinds_are_for_chance_and_the_oracle(tmp_path: Path) -> None:
    """The others refuse them, and are not asked where nobody named them."""
    points = judged(tmp_path / "net", Moment(kind="phase"))
    assert applicable([one.point for one in points]) == ("random", "oracle")
    assert decided("oracle", points) == [points[0].worth.decisions[1].decision]
    with pytest.raises(ConfigError, match=r"always-no only supports extend.*asks for phase"):
        decided("always-no", points)


def test_all_baselines_apply_to_extend(tmp_path: Path) -> None:
    """The ones that can be named."""
    assert applicable([one.point for one in judged(tmp_path / "net", Moment())]) == BASELINES


def test_a_state_that_the_prompt_is_not_about(tmp_path: Path) -> None:
    """Pressures of another moment are refused."""
    points = judged(tmp_path / "net", Moment(queued=(5, 3)))
    file = points[0].point.state_file
    file.write_text(file.read_text().replace("v v v v v", "v v v v"))
    with pytest.raises(DatasetError, match="has 4 vehicles on the lanes of phase 0"):
        decided("max-pressure", points)


@given(st.dictionaries(st.integers(0, 9), st.integers(-20, 20), min_size=1), st.data())
def test_the_rule_is_that_of_the_simulated_policy(
    strength: dict[int, int], data: st.DataObject
) -> None:
    """What is compared here and what datasets are collected by do not drift apart."""
    phase = data.draw(st.sampled_from(sorted(strength)))
    assert keeps_green(phase, strength) == policies.keeps_green(phase, strength)
