"""Easy, medium and hard: percentiles by hand, ties, and buckets without samples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.curriculum import LEVELS, GradedSample, Level, buckets_of
from trainer.curriculum.buckets import effective_weights

WEIGHTS: dict[Level, float] = {"easy": 0.7, "medium": 0.25, "hard": 0.05}


@pytest.mark.parametrize(
    ("values", "easy_until", "medium_until"),
    [
        ([1, 2, 3, 4, 5, 6], 3, 5),
        ([6, 1, 5, 2, 4, 3], 3, 5),
        ([10, 20, 30, 40], 22, 34),
        ([1, 2], 1.4, 1.8),
        ([7], 7, 7),
        ([0.1, 0.1, 0.1, 0.1, 0.1], 0.1, 0.1),
    ],
)
def test_percentiles_by_hand(values: list[float], easy_until: float, medium_until: float) -> None:
    """The 40th and the 80th, interpolated, whatever the order of the values."""
    [bucket] = buckets_of([GradedSample("x", value) for value in values])
    assert (bucket.easy_until, bucket.medium_until) == pytest.approx(
        (easy_until, medium_until), abs=0
    )


def test_ten_samples_are_four_four_two() -> None:
    """A domain of ten different difficulties is divided as the percentiles say."""
    [bucket] = buckets_of([GradedSample("d", value) for value in range(10)])
    assert bucket.rows == {"easy": (0, 1, 2, 3), "medium": (4, 5, 6, 7), "hard": (8, 9)}


def test_every_domain_has_percentiles_of_its_own() -> None:
    """What is hard in one domain may be easier than what is easy in another."""
    samples = [GradedSample("b", 100 + value) for value in range(5)]
    samples += [GradedSample("a", value) for value in range(5)]
    small, large = buckets_of(samples)
    assert (small.domain, large.domain) == ("a", "b")
    assert small.rows == {"easy": (5, 6), "medium": (7, 8), "hard": (9,)}
    assert large.rows == {"easy": (0, 1), "medium": (2, 3), "hard": (4,)}


def test_equal_difficulties_are_all_easy() -> None:
    """None is above the 40th percentile, which is the value of all."""
    [bucket] = buckets_of([GradedSample("d", 0.3)] * 7)
    assert bucket.sizes == {"easy": 7, "medium": 0, "hard": 0}


def test_unreadable_samples_are_easy_and_move_no_percentile() -> None:
    """They are counted apart."""
    samples = [GradedSample("d", value) for value in range(5)] + [GradedSample("d", None)] * 20
    [bucket] = buckets_of(samples)
    assert (bucket.easy_until, bucket.medium_until, bucket.unreadable) == (1.6, 3.2, 20)
    assert bucket.sizes == {"easy": 22, "medium": 2, "hard": 1}


def test_domain_of_unreadable_samples_only() -> None:
    """All are easy; there is no percentile."""
    [bucket] = buckets_of([GradedSample("d", None)] * 2)
    assert (bucket.easy_until, bucket.sizes["easy"]) == (None, 2)


def test_no_samples_no_domains() -> None:
    """Nothing in, nothing out."""
    assert buckets_of([]) == ()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((5, 5, 5), (0.7, 0.25, 0.05)),
        ((0, 5, 5), (0.0, 0.95, 0.05)),
        ((5, 5, 0), (0.7, 0.3, 0.0)),
        ((5, 0, 5), (0.825, 0.0, 0.175)),
        ((5, 0, 0), (1.0, 0.0, 0.0)),
        ((0, 5, 0), (0.0, 1.0, 0.0)),
        ((0, 0, 5), (0.0, 0.0, 1.0)),
    ],
)
def test_empty_bucket_falls_back_to_its_neighbours(
    sizes: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    """Its weight goes to the nearest bucket with samples, in halves where two are as near."""
    found = effective_weights(WEIGHTS, dict(zip(LEVELS, sizes, strict=True)))
    assert list(found.values()) == pytest.approx(expected)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.floats(-1e6, 1e6)), min_size=1, max_size=60
    )
)
def test_every_sample_is_in_one_bucket_of_its_domain(pairs: list[tuple[str, float | None]]) -> None:
    """Whatever the difficulties; what is easier is never in a harder bucket."""
    samples = [GradedSample(domain, difficulty) for domain, difficulty in pairs]
    buckets = buckets_of(samples)
    found = [row for bucket in buckets for rows in bucket.rows.values() for row in rows]
    assert sorted(found) == list(range(len(samples)))
    for bucket in buckets:
        assert {samples[row].domain for rows in bucket.rows.values() for row in rows} == {
            bucket.domain
        }
        known = [
            [d for row in bucket.rows[level] if (d := samples[row].difficulty) is not None]
            for level in LEVELS
        ]
        in_order = [difficulty for values in known for difficulty in sorted(values)]
        assert in_order == sorted(in_order)
