"""Scores become advantages and weights as computed by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.offline import clip_advantages, compute_softmax_weights, normalize_rewards_zscore
from trainer.offline.advantages import pooled_deviation, tau_at, top_candidates

_SCORES = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


def test_five_scores_are_normalised_by_the_deviation_of_a_population() -> None:
    """Scores 1 to 5 have the mean 3 and the deviation sqrt(2)."""
    found = normalize_rewards_zscore([1, 2, 3, 4, 5])
    half = 1 / math.sqrt(2)
    assert found == pytest.approx([-2 * half, -half, 0, half, 2 * half])


@pytest.mark.parametrize("rewards", [[], [7.0], [0.25, 0.25], [1e9, 1e9 + 1e-3]])
def test_what_does_not_differ_has_no_advantage(rewards: list[float]) -> None:
    """Neither an empty group nor rounding is blown up to whole deviations."""
    assert normalize_rewards_zscore(rewards) == [0.0] * len(rewards)


@given(_SCORES)
def test_a_group_has_mean_zero_and_deviation_one(rewards: list[float]) -> None:
    """Or is all zeros; never anything else."""
    found = normalize_rewards_zscore(rewards)
    assert math.fsum(found) == pytest.approx(0, abs=1e-6)
    squares = math.fsum(one**2 for one in found) / len(found)
    assert squares == pytest.approx(1, rel=1e-6) or set(found) == {0.0}


def test_a_given_deviation_keeps_small_gaps_small() -> None:
    """Two groups, one with gaps ten times the other's, keep that ratio."""
    groups = [[10.0, -10.0], [1.0, -1.0]]
    deviation = pooled_deviation(groups)
    assert deviation == pytest.approx(math.sqrt((100 + 100 + 1 + 1) / 4))
    wide, narrow = (normalize_rewards_zscore(group, deviation) for group in groups)
    assert wide[0] == pytest.approx(10 * narrow[0])


@pytest.mark.parametrize("groups", [[], [[]], [[2.0, 2.0], [3.0, 3.0]]])
def test_no_spread_is_a_deviation_of_zero(groups: list[list[float]]) -> None:
    """Also over no group at all."""
    assert pooled_deviation(groups) == 0


def test_advantages_are_cut_at_five() -> None:
    """On both sides, and at no smaller value."""
    assert clip_advantages([-5.1, -5.0, 4.9, 5.0, 80.0]) == [-5.0, -5.0, 4.9, 5.0, 5.0]


def test_weights_are_those_of_a_softmax() -> None:
    """exp(1), exp(0) and exp(-1) over their sum, at the temperature 1."""
    parts = [math.e, 1, 1 / math.e]
    found = compute_softmax_weights([1, 0, -1], tau=1)
    assert found == pytest.approx([part / sum(parts) for part in parts])


@given(_SCORES, st.floats(0.1, 5))
def test_weights_sum_to_one_and_follow_the_scores(scores: list[float], tau: float) -> None:
    """However large the scores are."""
    found = compute_softmax_weights(scores, tau)
    assert math.fsum(found) == pytest.approx(1)
    best = scores.index(max(scores))
    assert found[best] == max(found)


def test_a_lower_temperature_favours_the_best() -> None:
    """As stage 1 goes, the best candidate's weight rises."""
    found = [compute_softmax_weights([1, -1], tau_at(progress))[0] for progress in (0, 0.5, 1)]
    assert found == pytest.approx([0.7311, 0.8320, 0.9820], abs=1e-4)


def test_a_temperature_of_zero_is_refused() -> None:
    """It would divide by zero."""
    with pytest.raises(ValueError, match="tau"):
        compute_softmax_weights([1, 2], tau=0)


def test_the_temperature_stays_at_its_ends() -> None:
    """Progress outside of 0 to 1 does not lead beyond them."""
    assert (tau_at(-1), tau_at(2)) == (2.0, 0.5)


def test_the_best_three_are_chosen_in_place() -> None:
    """Of equals the earlier one; a group of three or fewer is used as a whole."""
    assert top_candidates([1, 5, 3, 5, 3], 3) == [False, True, True, True, False]
    assert top_candidates([2, 1], 3) == [True, True]
