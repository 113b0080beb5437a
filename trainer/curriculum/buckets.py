"""Easy, medium and hard: the samples of each domain by difficulty.

Pure. Where a sample's domain and difficulty come from is :mod:`trainer.curriculum.difficulty`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["LEVELS", "DomainBuckets", "GradedSample", "Level", "buckets_of", "effective_weights"]

Level = Literal["easy", "medium", "hard"]

LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")
"""From easy to hard."""

_PERCENTS = 40, 80
"""The percentiles up to which a domain's samples are easy, and up to which they are medium."""


@dataclass(frozen=True)
class GradedSample:
    """A row of a dataset, or a planning problem, as a curriculum sees it."""

    domain: str
    difficulty: float | None
    """Comparable within its domain; None if it could not be read."""


@dataclass(frozen=True)
class DomainBuckets:
    """One domain's samples by level."""

    domain: str
    rows: Mapping[Level, tuple[int, ...]]
    """The indices of the samples of every level, in order; a level may have none."""
    easy_until: float | None
    """The greatest difficulty that is easy; None if no sample's difficulty could be read."""
    medium_until: float | None
    """The greatest difficulty that is medium; None likewise."""
    unreadable: int = 0
    """Number of samples without a readable difficulty, which count as easy."""

    @property
    def sizes(self) -> dict[Level, int]:
        """The number of samples of every level."""
        return {level: len(self.rows[level]) for level in LEVELS}

    def level_of(self, difficulty: float | None) -> Level:
        """The level of a difficulty."""
        if difficulty is None or self.easy_until is None or self.medium_until is None:
            return "easy"
        if difficulty <= self.easy_until:
            return "easy"
        return "medium" if difficulty <= self.medium_until else "hard"


def buckets_of(samples: Sequence[GradedSample]) -> tuple[DomainBuckets, ...]:
    """Sorts samples into the buckets of their domains.

    A sample is easy up to the 40th percentile of its domain's difficulties, medium up to the 80th,
    and hard beyond. Percentiles are numpy's, which between equal values are exactly that value. A
    bucket may be empty if many difficulties are equal.

    Args:
        samples: In the order of the dataset; the buckets hold their positions.

    Returns:
        The domains by name.

    >>> [bucket] = buckets_of([GradedSample("ferry", value) for value in (5, 1, 4, 2, 3)])
    >>> bucket.rows
    {'easy': (1, 3), 'medium': (2, 4), 'hard': (0,)}
    """
    domains = sorted({sample.domain for sample in samples})
    return tuple(_domain_buckets(domain, samples) for domain in domains)


def effective_weights(
    weights: Mapping[Level, float], sizes: Mapping[Level, int]
) -> dict[Level, float]:
    """Adapts weights to a domain some of whose buckets may be empty.

    The weight of an empty bucket goes to the nearest non-empty one; if two are equally near, half
    goes to each.

    Args:
        weights: By level, adding up to 1.
        sizes: Number of samples of each level; at least one level has some.

    Returns:
        By level, with the same sum as ``weights``; 0 for every empty bucket.

    >>> full = {"easy": 0.5, "medium": 0.25, "hard": 0.25}
    >>> effective_weights(full, {"easy": 3, "medium": 0, "hard": 1})
    {'easy': 0.625, 'medium': 0.0, 'hard': 0.375}
    """
    shares: dict[Level, float] = dict.fromkeys(LEVELS, 0.0)
    for place, level in enumerate(LEVELS):
        distances = {
            other: abs(place - there) for there, other in enumerate(LEVELS) if sizes[other]
        }
        nearest = min(distances.values())
        takers = [other for other, distance in distances.items() if distance == nearest]
        for taker in takers:
            shares[taker] += weights[level] / len(takers)
    return shares


def _domain_buckets(domain: str, samples: Sequence[GradedSample]) -> DomainBuckets:
    import numpy as np

    mine = [(row, one.difficulty) for row, one in enumerate(samples) if one.domain == domain]
    known = [difficulty for _, difficulty in mine if difficulty is not None]
    lower, upper = np.percentile(known, _PERCENTS).tolist() if known else (None, None)
    empty = DomainBuckets(domain, {}, lower, upper, len(mine) - len(known))
    rows: dict[Level, tuple[int, ...]] = {
        level: tuple(row for row, difficulty in mine if empty.level_of(difficulty) == level)
        for level in LEVELS
    }
    return replace(empty, rows=rows)
