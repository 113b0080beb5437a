"""Look-ahead on priced decisions."""

from collections.abc import Mapping

import pytest

from shared.errors import RolloutCrashed
from shared.wire.episodes import EpisodeDecision, ShowPhase
from sim_workers.controllers.look_ahead import LookAheadController, LookAheadSettings
from tests.unit.sim_workers.controllers.standing import StandingEpisode, seen, show

TWO = {"a": seen({0: 5, 2: 1, 4: 1}), "b": seen({0: 5, 2: 1})}
"""The base policy, greedy, shows phase 0 at both."""


def _phases(decided: Mapping[str, EpisodeDecision]) -> tuple[int, int]:
    first, second = decided["a"], decided["b"]
    assert isinstance(first, ShowPhase)
    assert isinstance(second, ShowPhase)
    return first.next_phase, second.next_phase


def _decided(costs: Mapping[tuple[int, int], float], passes: int = 1) -> tuple[int, int]:
    episode = StandingEpisode(TWO, lambda decided: costs.get(_phases(decided), 9.0))
    controller = LookAheadController(LookAheadSettings(passes=passes))
    return _phases(controller.decide(episode.as_episode))


def test_signal_after_signal_what_costs_less_is_kept() -> None:
    """The second signal is tried beside what the first was improved to."""
    assert _decided({(0, 0): 5, (4, 0): 4, (0, 2): 1, (4, 2): 3}) == (4, 2)


def test_the_base_policys_choice_wins_ties() -> None:
    """Nothing is changed for nothing."""
    assert _decided({(0, 0): 5, (4, 0): 5, (2, 0): 5, (0, 2): 5}) == (0, 0)


def test_another_pass_sees_what_the_others_have_decided() -> None:
    """With one pass the first signal cannot answer to the second's change; with two it can."""
    costs = {(0, 0): 5, (0, 2): 4, (2, 2): 1}
    assert _decided(costs) == (0, 2)
    assert _decided(costs, passes=2) == (2, 2)


def test_every_rollout_is_needed_and_counted() -> None:
    """One for the base, and one for each other legal decision."""
    episode = StandingEpisode(TWO, lambda decided: 1.0)
    controller = LookAheadController(LookAheadSettings())
    controller.decide(episode.as_episode)
    assert [len(tried) for tried in episode.tried] == [3, 1]
    assert controller.rollouts == 4


def test_without_a_choice_nothing_is_rolled_out() -> None:
    """One legal decision is taken as it is."""
    episode = StandingEpisode({"a": seen({0: 1, 2: 9}, legal=[0])})
    decided = LookAheadController(LookAheadSettings()).decide(episode.as_episode)
    assert (decided, episode.tried) == ({"a": show(0)}, [])


def test_a_rollout_that_fails_is_an_error() -> None:
    """No decision is made up in its place."""
    episode = StandingEpisode(TWO, lambda decided: None if decided["a"] == show(4) else 1.0)
    with pytest.raises(RolloutCrashed):
        LookAheadController(LookAheadSettings()).decide(episode.as_episode)
