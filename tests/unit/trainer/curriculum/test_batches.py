"""Batches: balanced whatever the sizes, by the schedule, and the same for the same seed."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConfigError
from trainer.curriculum import (
    LEVELS,
    BatchShape,
    Curriculum,
    CurriculumPhase,
    GradedSample,
    Level,
    buckets_of,
    check_balance,
)
from trainer.curriculum.batches import level_counts


def _samples(sizes: dict[str, int]) -> list[GradedSample]:
    return [
        GradedSample(domain, number) for domain, size in sizes.items() for number in range(size)
    ]


def _curriculum(
    sizes: dict[str, int],
    per_domain: int = 1,
    max_steps: int = 50,
    seed: int = 3,
    schedule: tuple[CurriculumPhase, ...] | None = None,
) -> Curriculum:
    buckets = buckets_of(_samples(sizes))
    made = Curriculum(buckets, per_domain * len(buckets), max_steps, seed)
    return (
        made if schedule is None else Curriculum(buckets, made.prompts, max_steps, seed, schedule)
    )


@settings(max_examples=60)
@given(
    sizes=st.dictionaries(
        st.sampled_from("abcdef"), st.integers(min_value=1, max_value=30), min_size=1
    ),
    per_domain=st.integers(1, 5),
    max_steps=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_batch_holds_equally_many_of_each_domain(
    sizes: dict[str, int], per_domain: int, max_steps: int, seed: int
) -> None:
    """Whatever the domains' sizes; there is a batch for every step, all of one size."""
    samples = _samples(sizes)
    curriculum = _curriculum(sizes, per_domain, max_steps, seed)
    batches = list(curriculum.batches())
    assert len(batches) == max_steps
    for batch in batches:
        assert Counter(samples[row].domain for row in batch) == dict.fromkeys(sizes, per_domain)


@settings(max_examples=40)
@given(
    weights=st.tuples(*[st.integers(0, 20)] * 3).filter(any),
    samples=st.integers(1, 40),
    offset=st.floats(0, 1, exclude_max=True),
)
def test_levels_of_a_batch_are_as_near_to_the_weights_as_can_be(
    weights: tuple[int, int, int], samples: int, offset: float
) -> None:
    """Less than one sample off, and none of what has no weight."""
    shares: dict[Level, float] = {
        level: weight / sum(weights) for level, weight in zip(LEVELS, weights, strict=True)
    }
    counts = level_counts(shares, samples, offset)
    assert sum(counts.values()) == samples
    for level, count in counts.items():
        assert abs(count - shares[level] * samples) < 1 + 1e-9
        assert shares[level] > 0 or count == 0


@pytest.mark.parametrize("per_domain", [1, 2, 3])
def test_a_run_keeps_to_the_schedule(per_domain: int) -> None:
    """In each phase of a long run every domain's levels are what the schedule says."""
    sizes = {"a": 10, "b": 40}
    curriculum = _curriculum(sizes, per_domain, max_steps=1000)
    batches = list(curriculum.batches())
    for bucket in curriculum.buckets:
        level_of = {row: level for level, rows in bucket.rows.items() for row in rows}
        for begin, end, wanted in (
            (0, 300, (0.7, 0.25, 0.05)),
            (300, 700, (0.4, 0.4, 0.2)),
            (700, 1000, (0.2, 0.4, 0.4)),
        ):
            found = Counter(level_of[r] for b in batches[begin:end] for r in b if r in level_of)
            shares = [found[level] / found.total() for level in LEVELS]
            assert shares == pytest.approx(wanted, abs=0.015)


def test_a_batch_follows_from_seed_and_step() -> None:
    """Twice the same; another seed, another order; it matters not where one begins to look."""
    sizes = {"a": 12, "b": 9}
    first, again = list(_curriculum(sizes).batches()), list(_curriculum(sizes).batches())
    assert first == again
    assert list(islice(_curriculum(sizes).batches(), 20, None)) == first[20:]
    assert list(_curriculum(sizes, seed=4).batches()) != first


def test_golden_batches() -> None:
    """The order is the same in every process and on every machine."""
    batches = _curriculum({"a": 5, "b": 5}, per_domain=2).batches()
    assert list(islice(batches, 3)) == [[1, 5, 3, 7], [0, 6, 1, 5], [0, 6, 1, 9]]


def test_every_row_comes_once_before_any_comes_again() -> None:
    """In a bucket, in orders that differ from one time around to the next."""
    level: tuple[CurriculumPhase, ...] = (CurriculumPhase(until=1, easy=1, medium=0, hard=0),)
    curriculum = _curriculum({"a": 20}, per_domain=1, max_steps=24, schedule=level)
    drawn = [row for batch in curriculum.batches() for row in batch]
    rounds = [drawn[start : start + 8] for start in (0, 8, 16)]
    assert [sorted(one) for one in rounds] == [list(range(8))] * 3
    assert len({tuple(one) for one in rounds}) == 3


def test_no_row_comes_twice_in_a_batch_that_has_enough() -> None:
    """Not even where a batch takes the last rows of one time around and the first of the next."""
    level = (CurriculumPhase(until=1, easy=1, medium=0, hard=0),)
    curriculum = _curriculum({"a": 12}, per_domain=3, max_steps=200, schedule=level)
    assert [batch for batch in curriculum.batches() if len(set(batch)) < 3] == []


def test_small_domains_repeat_their_rows() -> None:
    """A domain of one sample gives it as often as others give theirs."""
    batches = list(_curriculum({"a": 1, "b": 30}, per_domain=3, max_steps=4).batches())
    assert [batch.count(0) for batch in batches] == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("shape", "domains", "message"),
    [
        (
            BatchShape(8, 1, 4),
            3,
            r"step of 2 prompts.* 3 domains; batch_size can be 12, 24, 36, 48",
        ),
        (BatchShape(2, 4, 4), 3, r"batch_size can be 3, 6, 9, 12 and"),
        (BatchShape(2, 2, 4), 2, r"batch_size can be 4, 8, 12, 16 and"),
        (BatchShape(4, 1, 4, ranks=2), 3, r"on 2 ranks.*batch_size can be 12, 24"),
        (BatchShape(1, 1, 4, ranks=4), 2, r"batch_size can be 4, 8"),
    ],
)
def test_batch_that_cannot_be_balanced(shape: BatchShape, domains: int, message: str) -> None:
    """The message says which sizes can."""
    with pytest.raises(ConfigError, match=message):
        check_balance(shape, domains)


@given(
    batch=st.integers(1, 24),
    accumulation=st.integers(1, 8),
    generations=st.integers(2, 8),
    ranks=st.integers(1, 4),
    domains=st.integers(1, 7),
)
def test_sizes_that_are_proposed_are_accepted(
    batch: int, accumulation: int, generations: int, ranks: int, domains: int
) -> None:
    """The smallest one proposed can be balanced, and nothing smaller can."""
    smallest = BatchShape(batch, accumulation, generations, ranks).balanced_batch_size(domains)
    check_balance(BatchShape(smallest, accumulation, generations, ranks), domains)
    for size in range(1, smallest):
        completions = size * accumulation
        is_whole = completions % generations == 0
        assert not is_whole or completions * ranks % (generations * domains)
