"""Controllers that decide by what stands on the lanes, on junctions made up here."""

from sim_workers.controllers.rules import (
    FixedController,
    RandomController,
    RuleController,
    SotlController,
)
from tests.unit.sim_workers.controllers.standing import StandingEpisode, seen, show


def test_a_rule_decides_at_each_signal_by_itself() -> None:
    """Where nothing is legal nothing is decided."""
    episode = StandingEpisode(
        {"a": seen({0: 1, 2: 4}), "b": seen({0: 3, 4: 1}), "c": seen({0: 1, 2: 4}, legal=())}
    )
    decided = RuleController("greedy").decide(episode.as_episode)
    assert decided == {"a": show(2), "b": show(0)}


def test_fixed_decides_nothing() -> None:
    """The programs run."""
    assert FixedController().decide(StandingEpisode({"a": seen({0: 9, 2: 9})}).as_episode) == {}
    assert not FixedController.is_steering


def test_random_throws_among_what_is_legal() -> None:
    """The same seed throws the same; every legal decision comes up."""
    episode = StandingEpisode(
        {"a": seen({0: 1, 2: 1, 4: 1}, legal=[2, 4]), "b": seen({}, legal=())}
    )
    throws = [
        [controller.decide(episode.as_episode)["a"] for _ in range(40)]
        for controller in (RandomController(5), RandomController(5), RandomController(6))
    ]
    assert throws[0] == throws[1] != throws[2]
    assert set(throws[0]) == {show(2), show(4)}


def test_a_red_that_has_waited_enough_gets_its_green() -> None:
    """Two vehicles for two intervals are 40 vehicle-seconds, for three 60: the threshold is 50."""
    episode = StandingEpisode({"a": seen({0: 0, 2: 2, 4: 1})})
    controller = SotlController(threshold_veh_s=50)
    decided = [controller.decide(episode.as_episode)["a"] for _ in range(3)]
    assert decided == [show(0), show(0), show(2)]


def test_a_green_begins_to_gather_anew() -> None:
    """What a phase gathered at red is forgotten while it is shown."""
    controller = SotlController(threshold_veh_s=50)
    red = StandingEpisode({"a": seen({0: 0, 2: 2})})
    green = StandingEpisode({"a": seen({0: 0, 2: 2}, phase=2)})
    controller.decide(red.as_episode)
    controller.decide(red.as_episode)
    controller.decide(green.as_episode)
    assert controller.decide(red.as_episode)["a"] == show(0)


def test_a_phase_whose_lanes_are_served_does_not_gather() -> None:
    """A turn on a shared lane is not red while the lane has a green."""
    controller = SotlController(threshold_veh_s=50)
    episode = StandingEpisode({"a": seen({0: 0, 6: 9})})
    decided = [controller.decide(episode.as_episode)["a"] for _ in range(3)]
    assert decided == [show(0)] * 3


def test_a_short_platoon_is_let_pass() -> None:
    """One or two vehicles that move towards the green hold it; three do not."""
    for moving, expected in ((0, 2), (1, 0), (2, 0), (3, 2)):
        controller = SotlController(threshold_veh_s=50, platoon_veh=3)
        episode = StandingEpisode({"a": seen({0: moving, 2: 9})})
        assert controller.decide(episode.as_episode)["a"] == show(expected)
