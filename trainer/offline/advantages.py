"""Turns the scores of a group of candidates into advantages and weights. Pure numbers.

The three formulas take a list, or a tensor whose last axis is a group
(:mod:`trainer.offline.tensors`). Owns the normalisation of scores, the clipping of advantages, the
weights of reward-weighted cross-entropy with their temperature, and which candidates an epoch uses.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, overload

from trainer.earlier import note_earlier

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ADVANTAGE_LIMIT",
    "clip_advantages",
    "compute_softmax_weights",
    "normalize_rewards_zscore",
    "pooled_deviation",
    "tau_at",
    "top_candidates",
]

ADVANTAGE_LIMIT = 5.0
"""Advantages lie within plus and minus this, in standard deviations."""

_NO_SPREAD = 1e-8
"""Deviations below this, relative to the size of the scores, are rounding."""


@overload
def normalize_rewards_zscore(rewards: "Tensor", deviation: float | None = None) -> "Tensor": ...
@overload
def normalize_rewards_zscore(
    rewards: Sequence[float], deviation: float | None = None
) -> list[float]: ...
def normalize_rewards_zscore(
    rewards: "Sequence[float] | Tensor", deviation: float | None = None
) -> "list[float] | Tensor":
    """How far each reward lies from the mean of its group, ``(r - mean) / deviation``.

    The advantage of GRPO (Shao et al. 2024, "DeepSeekMath", section 4.1.2). The group's own
    deviation is the population standard deviation, ``sqrt(mean((r - mean)^2))``: the squares of
    the results average 1, however few candidates there are.

    Args:
        rewards: Of the candidates of one query, in any unit; or a tensor of such groups, (…, n).
        deviation: What to divide by instead of the group's own deviation, in the same unit.

    Returns:
        Dimensionless, in the order of ``rewards``. All 0 if the rewards do not differ; empty for
        an empty group.

    >>> normalize_rewards_zscore([1.0, 3.0])
    [-1.0, 1.0]
    >>> normalize_rewards_zscore([2.0, 2.0, 2.0])
    [0.0, 0.0, 0.0]
    >>> normalize_rewards_zscore([1.0, 3.0], deviation=4.0)
    [-0.25, 0.25]
    """
    if _is_tensor(rewards):
        from trainer.offline.tensors import zscores

        return zscores(rewards, deviation)
    if not rewards:
        return []
    mean = statistics.fmean(rewards)
    spread = statistics.pstdev(rewards, mean)
    if spread <= _NO_SPREAD * max(1.0, abs(mean)):
        return [0.0] * len(rewards)
    return [(reward - mean) / (deviation or spread) for reward in rewards]


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float:
    """The standard deviation of rewards from their group means, pooled over all groups.

    ``sqrt(sum (r - mean of its group)^2 / number of rewards)``. Dividing by the pooled deviation
    keeps advantages small in a group whose rewards hardly differ; dividing by that group's own
    deviation would blow them up.

    Returns:
        In the unit of the rewards; 0 if no rewards differ.

    >>> pooled_deviation([[1.0, 3.0], [0.0, 0.0]])
    0.7071067811865476
    """
    squares = [
        (reward - statistics.fmean(group)) ** 2 for group in groups if group for reward in group
    ]
    return math.sqrt(statistics.fmean(squares)) if squares else 0.0


@overload
def clip_advantages(advantages: "Tensor", limit: float = ADVANTAGE_LIMIT) -> "Tensor": ...
@overload
def clip_advantages(advantages: Sequence[float], limit: float = ADVANTAGE_LIMIT) -> list[float]: ...
def clip_advantages(
    advantages: "Sequence[float] | Tensor", limit: float = ADVANTAGE_LIMIT
) -> "list[float] | Tensor":
    """Advantages cut at ``-limit`` and ``limit``, so that no candidate outweighs all others.

    Args:
        advantages: In standard deviations; a list, or a tensor of any shape.
        limit: Above 0.

    >>> clip_advantages([-9.0, 0.5, 7.0])
    [-5.0, 0.5, 5.0]
    """
    if _is_tensor(advantages):
        from trainer.offline.tensors import clipped

        return clipped(advantages, limit)
    return [min(limit, max(-limit, advantage)) for advantage in advantages]


@overload
def compute_softmax_weights(
    scores: "Tensor", tau: float | None = None, *, temperature: float | None = None
) -> "Tensor": ...
@overload
def compute_softmax_weights(
    scores: Sequence[float], tau: float | None = None, *, temperature: float | None = None
) -> list[float]: ...
def compute_softmax_weights(
    scores: "Sequence[float] | Tensor",
    tau: float | None = None,
    *,
    temperature: float | None = None,
) -> "list[float] | Tensor":
    """The weights of a group's candidates, ``exp(score / tau)`` over the sum of these.

    As in reward-weighted regression (Peters and Schaal 2007, "Reinforcement learning by
    reward-weighted regression"), within a group. The highest score is subtracted from all scores
    before the exponential, which changes no weight and prevents overflow.

    Args:
        scores: Of one group; or a tensor of such groups, (…, n).
        tau: Temperature, above 0, in the unit of the scores: the greater, the more equal the
            weights.
        temperature: The earlier name of ``tau``.

    Returns:
        From 0 to 1, summing to 1; empty for an empty group.

    Raises:
        ValueError: ``tau`` is not above 0, or it is given twice or not at all.

    >>> [round(weight, 4) for weight in compute_softmax_weights([1.0, -1.0], tau=2.0)]
    [0.7311, 0.2689]
    >>> compute_softmax_weights([1e6, 0.0], tau=0.5)
    [1.0, 0.0]
    """
    tau = _given_tau(tau, temperature)
    if _is_tensor(scores):
        from trainer.offline.tensors import softmax_weights

        return softmax_weights(scores, tau)
    if not scores:
        return []
    highest = max(scores)
    powers = [math.exp((score - highest) / tau) for score in scores]
    total = math.fsum(powers)
    return [power / total for power in powers]


def tau_at(progress: float, start: float = 2.0, end: float = 0.5) -> float:
    """The temperature of the weights, interpolated linearly from the first step to the last.

    Args:
        progress: Share of the steps that are done, clipped to 0 to 1.
        start: Temperature at progress 0.
        end: Temperature at progress 1.

    >>> tau_at(0.0), tau_at(0.5), tau_at(1.0)
    (2.0, 1.25, 0.5)
    """
    return start + (end - start) * min(1.0, max(0.0, progress))


def top_candidates(rewards: Sequence[float], count: int | None) -> list[bool]:
    """Which candidates of a group are among the best; ties go to the earlier ones.

    Args:
        rewards: Rewards of one group.
        count: Number of candidates to pick; None picks all.

    >>> top_candidates([0.1, 0.9, 0.5, 0.9], count=3)
    [False, True, True, True]
    >>> top_candidates([0.1, 0.9], count=None)
    [True, True]
    """
    if count is None:
        return [True] * len(rewards)
    ranked = sorted(range(len(rewards)), key=lambda position: -rewards[position])
    chosen = set(ranked[:count])
    return [position in chosen for position in range(len(rewards))]


def _given_tau(tau: float | None, temperature: float | None) -> float:
    """The temperature of the weights, by either name."""
    if (tau is None) == (temperature is None):
        raise ValueError("compute_softmax_weights needs tau, once")
    if temperature is not None:
        note_earlier("temperature", "tau")
        tau = temperature
    if tau is None or not tau > 0:
        raise ValueError(f"tau ({tau}) must be above 0")
    return tau


def _is_tensor(values: Any) -> "TypeGuard[Tensor]":  # noqa: ANN401 - a list, or of torch
    """Whether it is a tensor, without an import of torch."""
    return hasattr(values, "detach")
