"""Rewards: their formulae, and the range they keep."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.rewards import Metrics, RewardSpec
from sim_workers.rewards import needs_reference, queue_gain, reward_of

_QUEUES = st.floats(0, 1e6, allow_nan=False)


def _metrics(queue_veh: float) -> Metrics:
    return Metrics(
        queue_veh=queue_veh,
        queue_veh_max=queue_veh,
        wait_s=0,
        throughput_veh=0,
        pressure_veh=0,
        network_queue_veh=0,
    )


@pytest.mark.parametrize(
    ("queue", "reference", "gain"),
    [(0, 0, 0.0), (4, 4, 0.0), (0, 9, 0.9), (9, 0, -0.9), (1, 2, 0.25), (3, 4.5, 1.5 / 8.5)],
)
def test_queue_gain_equals_the_formula(queue: float, reference: float, gain: float) -> None:
    """``(Q_ref - Q) / (Q_ref + Q + 1)``, worked out by hand."""
    spec = RewardSpec(name="queue_gain")
    assert reward_of(spec, _metrics(queue), _metrics(reference)) == gain


def test_queue_is_minus_the_mean_queue() -> None:
    """It needs no reference, and ignores one that is given."""
    spec = RewardSpec(name="queue")
    assert reward_of(spec, _metrics(2.5), None) == -2.5
    assert reward_of(spec, _metrics(2.5), _metrics(9)) == -2.5


def test_only_the_gain_needs_a_reference() -> None:
    """A reward that compares says so, and refuses to be computed without."""
    assert needs_reference(RewardSpec(name="queue_gain"))
    assert not needs_reference(RewardSpec(name="queue"))
    with pytest.raises(ValueError, match="queue_gain needs the reference"):
        reward_of(RewardSpec(name="queue_gain"), _metrics(1), None)


@given(_QUEUES, _QUEUES)
def test_queue_gain_stays_between_minus_one_and_one(queue: float, reference: float) -> None:
    """The bounds themselves are never reached."""
    assert -1 < queue_gain(queue, reference) < 1


@given(_QUEUES, _QUEUES)
def test_queue_gain_says_which_is_better(queue: float, reference: float) -> None:
    """Positive where the decision shortens the queue, and antisymmetric."""
    gain = queue_gain(queue, reference)
    assert (gain > 0) == (queue < reference)
    assert gain == -queue_gain(reference, queue)


@given(_QUEUES, _QUEUES, _QUEUES)
def test_shorter_queues_are_never_worse(one: float, other: float, reference: float) -> None:
    """More queue, less reward, under both rewards."""
    assume(one < other)
    assert queue_gain(one, reference) >= queue_gain(other, reference)
    spec = RewardSpec(name="queue")
    assert reward_of(spec, _metrics(one), None) > reward_of(spec, _metrics(other), None)
