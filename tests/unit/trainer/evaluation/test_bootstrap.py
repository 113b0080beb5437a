"""Intervals come from runs, not from decision points."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluation.bootstrap import Bootstrap, Estimate

_samples = st.lists(st.tuples(st.floats(-9, 9), st.sampled_from("abcd")), min_size=1, max_size=40)


def estimate(values: list[float], runs: str, resamples: int = 2000, seed: int = 0) -> Estimate:
    """One that is there."""
    found = Bootstrap(resamples, seed).estimate(values, list(runs))
    assert found is not None
    return found


def test_nothing_has_no_mean() -> None:
    """Not 0, which would be a measurement."""
    assert Bootstrap().estimate([], []) is None


def test_one_run_has_no_interval() -> None:
    """However many points it has."""
    assert estimate([1.0, 2.0, 3.0], "aaa") == Estimate(value=2.0, low=None, high=None)


def test_two_runs_by_hand() -> None:
    """Drawn twice from two runs: aa (1/4), ab (1/2), bb (1/4), each with a quarter or more."""
    found = estimate([0.0, 0.0, 6.0], "aab")
    assert (found.value, found.low, found.high) == (2.0, 0.0, 6.0)


def test_long_runs_count_more() -> None:
    """The middle of the resampled means is the mean over points, not that over runs."""
    values, runs = [0.0] * 9 + [10.0], "a" * 9 + "b"
    few = [estimate(values, runs, resamples=1, seed=seed) for seed in range(20)]
    assert {one.low for one in few} == {0.0, 1.0, 10.0}


def test_points_of_one_run_are_no_more_than_one() -> None:
    """Copies of every point in its run leave the interval as it was."""
    once = estimate([1.0, 2.0, 5.0, 3.0], "abcd")
    often = estimate(
        [1.0] * 50 + [2.0] * 50 + [5.0] * 50 + [3.0] * 50, "".join(c * 50 for c in "abcd")
    )
    assert often == once
    as_if_apart = Bootstrap().estimate(
        [1.0, 2.0, 5.0, 3.0] * 50, [str(number) for number in range(200)]
    )
    assert as_if_apart is not None
    assert once.low is not None
    assert as_if_apart.low is not None
    assert as_if_apart.low > once.low + 0.3


def test_widths_are_those_of_theory() -> None:
    """For many runs of one point each: the mean plus and minus 1.96 standard errors."""
    values = [math.sin(number) for number in range(400)]
    found = Bootstrap(4000).estimate(values, [str(number) for number in range(400)])
    assert found is not None
    margin = 1.96 * statistics.stdev(values) / math.sqrt(400)
    assert found.low == pytest.approx(found.value - margin, abs=0.1 * margin)
    assert found.high == pytest.approx(found.value + margin, abs=0.1 * margin)


def test_the_seed_decides() -> None:
    """Equal seeds, equal intervals; other seeds, nearly equal ones."""
    values, runs = [1.0, 2.0, 5.0, 3.0, 9.0, 0.5], "abcdef"
    assert estimate(values, runs, seed=3) == estimate(values, runs, seed=3)
    assert estimate(values, runs, 100, seed=3) != estimate(values, runs, 100, seed=4)


@given(_samples)
def test_intervals_lie_within_the_values(sample: list[tuple[float, str]]) -> None:
    """And the names of runs do not matter, nor the order of points but for rounding."""
    values, runs = [list(column) for column in zip(*sample, strict=True)]
    found = Bootstrap(100).estimate(values, runs)
    assert found is not None
    if found.low is None or found.high is None:
        assert len(set(runs)) == 1
        return
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    renamed = Bootstrap(100).estimate(values, [f"run {run}" for run in runs])
    assert renamed == found


def test_ratio_by_hand() -> None:
    """Drawn twice from two runs: aa gives 1/2, ab 4/4, bb 3/2; each end has a quarter."""
    found = Bootstrap().ratio([1.0, 3.0], [2.0, 2.0], ["a", "b"])
    assert found == Estimate(value=1.0, low=0.5, high=1.5)


def test_ratio_of_pairs_is_surer_than_either_mean() -> None:
    """Where runs are hard for both alike, the ratio is known though the means are not."""
    hard = [0.5, 1.0, 2.0, 8.0]
    found = Bootstrap().ratio([value / 2 for value in hard], hard, list("abcd"))
    assert found == Estimate(value=0.5, low=0.5, high=0.5)
    assert estimate(hard, "abcd").low != estimate(hard, "abcd").high


@pytest.mark.parametrize("others", [[0.0, 0.0], [0.0, 2.0]])
def test_no_ratio_to_nothing(others: list[float]) -> None:
    """Nor where a resample may have nothing but the run without any."""
    assert Bootstrap().ratio([1.0, 1.0], others, ["a", "b"]) is None
