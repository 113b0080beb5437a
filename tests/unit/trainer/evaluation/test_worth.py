"""What decisions are worth, by hand and by the workers' formulae."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dataset import Outcome
from shared.decisions import Extend, NextPhase
from shared.rewards import Metrics, RewardSpec, TermName, reward_of
from tests.unit.trainer.evaluation.small_dataset import metrics
from trainer.evaluation.worth import Valued, Worth, stored_reward, stored_worth

A, B, C = (NextPhase(next_phase=phase, green_s=20) for phase in (0, 2, 4))
_STORED: tuple[TermName, ...] = ("queue", "wait", "pressure", "speed")
_numbers = st.floats(-1e6, 1e6)


def test_regrets_by_hand() -> None:
    """In the reward's unit and in vehicles, which need not agree on what is best."""
    a, b, c = Valued(A, 0.5, 4.0), Valued(B, -0.25, 3.5), Valued(C, 0.125, 6.0)
    worth = Worth((a, b, c))
    assert worth.best == a
    assert [worth.regret(one) for one in (a, b, c)] == [0.0, 0.75, 0.375]
    assert [worth.regret_veh(one) for one in (a, b, c)] == [0.5, 0.0, 2.5]
    assert (worth.worst_regret, worth.gap_veh) == (0.75, 2.5)


def test_a_better_one_than_all_known_is_no_regret() -> None:
    """A decision that was scored outside the table may beat it."""
    worth = Worth((Valued(A, 0.5, 4.0),))
    assert worth.regret(Valued(B, 0.75, 3.0)) == -0.25
    assert worth.regret_veh(Valued(B, 0.75, 3.0)) == -1.0


def test_decisions_are_found_by_their_effect() -> None:
    """The seconds of a no are nothing; those of a yes are."""
    yes, no = Extend(extend=True, extend_s=10), Extend(extend=False)
    worth = Worth((Valued(yes, 1.0, 1.0), Valued(no, 2.0, 2.0)))
    found = worth.find(Extend(extend=False, extend_s=10))
    assert found is not None
    assert found.decision == no
    assert worth.find(Extend(extend=True)) is None


@given(
    st.builds(
        metrics,
        st.floats(0, 1e6),
        st.fixed_dictionaries(
            {"wait_s": st.floats(0, 1e6), "pressure_veh": _numbers, "speed_mps": st.floats(0, 99)}
        ),
    )
)
def test_stored_metrics_give_the_rewards_of_the_service(seen: Metrics) -> None:
    """To the last bit, for every reward that needs nothing else."""
    for name in _STORED:
        assert stored_reward(name, seen) == reward_of(RewardSpec(name=name), seen, None)


@pytest.mark.parametrize("name", ["queue_gain", "speed"])
def test_what_metrics_do_not_say_is_not_made_up(name: TermName) -> None:
    """Without a reference or a vehicle there is no reward, and one missing is all missing."""
    seen = metrics(3.0)
    assert stored_reward(name, seen) is None
    with_speed = metrics(3.0, {"speed_mps": 5.0})
    outcomes = [Outcome(decision=A, metrics=with_speed), Outcome(decision=B, metrics=seen)]
    assert stored_worth(outcomes, name) is None


def test_no_outcomes_are_no_worth() -> None:
    """Where nothing is legal, nothing can be judged."""
    assert stored_worth([], "queue") is None
