"""Look-ahead on priced decisions."""

from collections.abc import Mapping, Sequence

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


@pytest.mark.parametrize(
    ("budget", "tried", "decided"),
    [
        (1, [], (0, 0)),  # not even the busiest signal's two
        (2, ["b"], (0, 2)),
        (3, ["b"], (0, 2)),  # the other's two are more than what is left
        (4, ["b", "a"], (4, 2)),
    ],
)
def test_a_budget_goes_to_the_busiest_signals(
    budget: int, tried: list[str], decided: tuple[int, int]
) -> None:
    """One whose candidates are more than what is left keeps the base policy's decision."""
    signals = {"a": seen({0: 5, 2: 1, 4: 1}), "b": seen({0: 5, 2: 4})}
    costs = {(0, 0): 5, (0, 2): 4, (4, 2): 3}
    episode = StandingEpisode(signals, lambda decided: costs.get(_phases(decided), 9.0))
    controller = LookAheadController(LookAheadSettings(budget=budget))
    assert _phases(controller.decide(episode.as_episode)) == decided
    assert len(episode.tried) == len(tried)
    assert controller.rollouts <= budget
    assert [_changed(candidates) for candidates in episode.tried] == tried


def test_a_budget_is_of_each_step() -> None:
    """What a step has used is there again at the next one."""
    episode = StandingEpisode(TWO, lambda decided: 1.0)
    controller = LookAheadController(LookAheadSettings(budget=4))
    for step in (1, 2):
        controller.decide(episode.as_episode)
        assert controller.rollouts == 4 * step


def _changed(candidates: Sequence[Mapping[str, EpisodeDecision]]) -> str:
    """At which signal candidates differ."""
    first, *_, last = candidates
    (found,) = {"a", "b"} - {tls_id for tls_id in first if first[tls_id] == last[tls_id]}
    return found
