"""What the proof consists of."""

from itertools import combinations
from pathlib import Path

import pytest

from benchmarks.learning.plan import FULL, HELD_OUT, VALIDATION, Family, Network
from benchmarks.learning.trainings import Trainings


def test_no_two_families_share_a_seed_or_a_demand() -> None:
    """Points to train on, to choose settings on, and to judge on are of different simulations."""
    for one, other in combinations((FULL.train, VALIDATION, HELD_OUT, FULL.unseen), 2):
        assert set(one.seeds).isdisjoint(other.seeds) or one.networks != other.networks
    for one, other in combinations((FULL.train, VALIDATION, HELD_OUT), 2):
        assert set(one.seeds).isdisjoint(other.seeds)
        assert set(one.scales).isdisjoint(other.scales)


def test_there_is_enough_to_judge_on() -> None:
    """Many points, and enough simulations for intervals to mean something."""
    assert sum(network.states for network in HELD_OUT.networks) >= 1300
    assert HELD_OUT.runs >= 20
    assert {network.name for network in HELD_OUT.networks} == {"cologne1", "ingolstadt1"}


@pytest.mark.parametrize("is_served", [True, False])
def test_only_states_that_are_served_are_proven(is_served: bool) -> None:
    """What no service brings back need not come back from a file."""
    family = Family("f", (Network("resco:cologne1", 6),), (1, 2), (0.9,), is_served)
    arguments = family.build(family.networks[0], Path("out/f"), workers=1)
    assert ("--only-replays" in arguments) is not is_served
    assert arguments[:5] == ("dataset", "build", "resco:cologne1", "--out", "out/f/cologne1")
    assert arguments.count("--seed") == 2


def test_every_training_starts_from_the_warm_start(tmp_path: Path) -> None:
    """All are compared with what they began as; only the control's rewards are shuffled."""
    trainings = Trainings(FULL, tmp_path)
    commands = trainings.compared("http://127.0.0.1:1")
    start = str(trainings.model("warm-start"))
    assert all(start in command.arguments for command in commands)
    shuffled = [one.name for one in commands if "shuffle_rewards=true" in one.arguments]
    assert shuffled == ["grpo-shuffled"]
    assert {one.name for one in commands} | {"warm-start"} == set(trainings.names)
