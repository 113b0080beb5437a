"""Which green each rule chooses."""

import pytest

from shared.wire.episodes import EpisodeDecision, ExtendGreen, ShowPhase
from sim_workers.engine.episodes.messages import PhaseCounts, PhaseRule
from sim_workers.engine.episodes.rules import choose_phase, decide_by_rule


def _counts(queued: int, approaching: int = 0, exit_veh: int = 0) -> PhaseCounts:
    return PhaseCounts(
        queued=queued, approaching=approaching, passed=0, wait_s=0, exit_veh=exit_veh
    )


JUNCTION = {0: _counts(1, 6, 6), 2: _counts(5), 4: _counts(2, 2)}


@pytest.mark.parametrize(
    ("rule", "chosen"), [("greedy", 0), ("longest_queue", 2), ("max_pressure", 2), ("keep", 4)]
)
def test_each_rule_has_a_measure_of_its_own(rule: PhaseRule, chosen: int) -> None:
    """Vehicles, standing vehicles, vehicles minus those behind the junction; or none at all."""
    assert choose_phase(rule, 4, JUNCTION, [0, 2, 4]) == chosen


@pytest.mark.parametrize("rule", ["greedy", "longest_queue", "max_pressure"])
def test_the_current_green_wins_ties_and_then_the_lowest(rule: PhaseRule) -> None:
    """So that an empty junction does not change for nothing."""
    even = dict.fromkeys((0, 2, 4), _counts(3))
    assert choose_phase(rule, 4, even, [0, 2, 4]) == 4
    assert choose_phase(rule, 4, even, [0, 2]) == 0


def test_rules_choose_among_what_is_legal() -> None:
    """Nothing where nothing is, and the next best where the best is not."""
    assert choose_phase("greedy", 0, JUNCTION, []) is None
    assert choose_phase("greedy", 4, JUNCTION, [2, 4]) == 2


def test_rules_extend_a_green_that_they_would_choose() -> None:
    """Under extend they keep the best green and end any other."""
    legal: tuple[EpisodeDecision, ...] = (
        ExtendGreen(extend=True, extend_s=5),
        ExtendGreen(extend=False),
    )
    assert decide_by_rule("greedy", 0, JUNCTION, legal) == legal[0]
    assert decide_by_rule("greedy", 2, JUNCTION, legal) == legal[1]
    assert decide_by_rule("keep", 2, JUNCTION, legal) is None
    assert decide_by_rule("greedy", 2, JUNCTION, ()) is None


def test_rules_answer_with_a_phase_where_phases_are_chosen() -> None:
    """The decision is one of the legal ones."""
    legal = (ShowPhase(next_phase=2), ShowPhase(next_phase=4))
    assert decide_by_rule("greedy", 4, JUNCTION, legal) == legal[0]
