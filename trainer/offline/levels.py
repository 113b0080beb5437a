"""Rewards on three levels: the candidate's own score, its sequence, and its task. Pure numbers.

A candidate's score says what it leads to. In addition, its sequence of decisions may have value of
its own (no needless switching, and different from the others in its group), and it may come with a
figure from a complete closed-loop run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from trainer.offline.advantages import (
    clip_advantages,
    normalize_rewards_zscore,
    pooled_deviation,
)

__all__ = [
    "LevelWeights",
    "ScoredSequence",
    "coherence",
    "combined_rewards",
    "distance",
    "diversity",
    "group_advantages",
    "switches",
]

_NO = "no"
_ANSWERS = {"yes", _NO}


@dataclass(frozen=True)
class LevelWeights:
    """The weight of each level."""

    score: float = 1.0
    """Weight of the candidate's own score, in standard deviations of its group."""
    sequence: float = 0.2
    """Weight of the mean of coherence and diversity, each from 0 to 1."""
    task: float = 0.5
    """Weight of the closed-loop figure, if there is one, in standard deviations of its group."""


@dataclass(frozen=True)
class ScoredSequence:
    """The parts of a candidate that the levels use."""

    sequence: tuple[str | int, ...]
    """Its decisions, as words or token ids, in order."""
    score: float
    """Score of what it leads to; higher is better."""
    task: float | None = None
    """A closed-loop figure, higher is better; None if none was computed."""


def switches(sequence: Sequence[str | int]) -> int:
    """How often a sequence switches the signal.

    In a plan of *yes* and *no*, each *no* ends a green. In any other sequence of words, two
    neighbours that differ count as a switch. Token ids are parts of words, so switches between
    them are not counted; neither are any in a sequence of length one.

    >>> switches(["yes", "no", "yes", "no"]), switches(["north", "north", "east"]), switches([5, 9])
    (2, 1, 0)
    """
    if len(sequence) < 2 or any(isinstance(word, int) for word in sequence):
        return 0
    if set(sequence) <= _ANSWERS:
        return list(sequence).count(_NO)
    return sum(before != after for before, after in pairwise(sequence))


def coherence(group: Sequence[ScoredSequence]) -> list[float]:
    """How free of needless switches each candidate of a group is.

    ``1 - (switches - needed) / length``, where *needed* is the smallest number of switches with
    which any candidate of the group reaches at least the same score. A switch is thus needless if
    another candidate does as well without it.

    Returns:
        From 0 to 1 each, in order.

    >>> group = [ScoredSequence(("yes", "yes"), 0.5), ScoredSequence(("no", "no"), 0.1)]
    >>> coherence(group)
    [1.0, 0.0]
    """
    counted = [switches(one.sequence) for one in group]
    found = []
    for one, count in zip(group, counted, strict=True):
        needed = min(
            other for rival, other in zip(group, counted, strict=True) if rival.score >= one.score
        )
        found.append(1 - (count - needed) / max(1, len(one.sequence)))
    return found


def diversity(sequences: Sequence[Sequence[str | int]]) -> list[float]:
    """The mean :func:`distance` of each sequence to the others in its group.

    Returns:
        From 0 (all the same) to 1 (nothing in common) each; 0 for a group of one.

    >>> diversity([("yes", "yes"), ("yes", "no"), ("yes", "no")])
    [0.5, 0.25, 0.25]
    """
    others = max(1, len(sequences) - 1)
    return [sum(distance(one, other) for other in sequences) / others for one in sequences]


def distance(one: Sequence[str | int], other: Sequence[str | int]) -> float:
    """The share of positions at which two sequences differ.

    The Hamming distance divided by the longer length: positions that one sequence lacks differ.

    >>> distance(("yes", "no"), ("yes", "no", "no", "no"))
    0.5
    """
    longer = max(len(one), len(other))
    same = sum(a == b for a, b in zip(one, other, strict=False))
    return (longer - same) / longer if longer else 0.0


def combined_rewards(
    group: Sequence[ScoredSequence], weights: LevelWeights, deviation: float | None = None
) -> list[float]:
    """The weighted sum of the three levels, per candidate.

    ``weights.score * z(score) + weights.sequence * (coherence + diversity) / 2
    + weights.task * z(task)``, where z is :func:`normalize_rewards_zscore`. The last term is left
    out for a group in which any candidate lacks a task figure.

    Args:
        group: The candidates of one query.
        weights: Weights of the levels.
        deviation: Divisor of the candidates' own scores; None uses the group's own deviation.

    >>> group = [ScoredSequence(("yes",), -2.0), ScoredSequence(("no",), -4.0)]
    >>> combined_rewards(group, LevelWeights(score=1.0, sequence=0.0))
    [1.0, -1.0]
    """
    own = normalize_rewards_zscore([one.score for one in group], deviation)
    coherent = coherence(group)
    diverse = diversity([one.sequence for one in group])
    figures = [one.task for one in group if one.task is not None]
    task = normalize_rewards_zscore(figures) if len(figures) == len(group) else [0.0] * len(group)
    return [
        weights.score * o + weights.sequence * (c + d) / 2 + weights.task * t
        for o, c, d, t in zip(own, coherent, diverse, task, strict=True)
    ]


def group_advantages(
    groups: Sequence[Sequence[ScoredSequence]], weights: LevelWeights, is_pooled: bool
) -> list[list[float]]:
    """The advantages of the candidates of every group, clipped.

    Args:
        groups: The candidates of each query.
        weights: Weights of the levels.
        is_pooled: Whether own scores are divided by :func:`pooled_deviation`, in which case the
            sum of the levels is only centred. Otherwise each group's sum is z-scored, but only
            centred if neither own scores nor task figures tell its candidates apart: the weight
            of the sequence level alone then says how much the group teaches.

    Returns:
        In standard deviations, within ``ADVANTAGE_LIMIT``; all 0 for a group whose candidates do
        not differ.

    >>> wide = [ScoredSequence(("yes",), 3.0), ScoredSequence(("no",), -3.0)]
    >>> narrow = [ScoredSequence(("yes",), 0.1), ScoredSequence(("no",), -0.1)]
    >>> group_advantages([wide, narrow], LevelWeights(), is_pooled=False)
    [[1.0, -1.0], [1.0, -1.0]]
    >>> pooled = group_advantages([wide, narrow], LevelWeights(), is_pooled=True)
    >>> [[round(advantage, 3) for advantage in group] for group in pooled]
    [[1.413, -1.413], [0.047, -0.047]]
    """
    pooled = pooled_deviation([[one.score for one in group] for group in groups])
    found = []
    for group in groups:
        rewards = combined_rewards(group, weights, pooled if is_pooled else None)
        is_centred = is_pooled or not _is_told_apart(group, weights)
        centred = normalize_rewards_zscore(rewards, 1.0 if is_centred else None)
        found.append(clip_advantages(centred))
    return found


def _is_told_apart(group: Sequence[ScoredSequence], weights: LevelWeights) -> bool:
    """Whether a weighted level that is measured in deviations differs within the group."""
    without_sequence = replace(weights, sequence=0.0)
    return any(combined_rewards(group, without_sequence))
