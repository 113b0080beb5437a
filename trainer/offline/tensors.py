"""The formulas of :mod:`trainer.offline.advantages` on tensors of any batch shape.

The last axis is a group of candidates. Importing this module needs torch, the formulas on lists do
not.
"""

import torch
from torch import Tensor

__all__ = ["clipped", "softmax_weights", "zscores"]

_NO_SPREAD = 1e-8
"""As for lists: deviations below this, relative to the size of the scores, are rounding."""


def zscores(rewards: Tensor, deviation: float | None = None) -> Tensor:
    """How far each reward lies from the mean of its group.

    Args:
        rewards: (…, n).
        deviation: What to divide by; None for each group's own population deviation.

    Returns:
        (…, n), of the same floating type; 0 throughout a group that does not differ.

    >>> zscores(torch.tensor([[1.0, 3.0], [2.0, 2.0]]))
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    values = rewards.double()
    mean = values.mean(-1, keepdim=True)
    spread = values.std(-1, correction=0, keepdim=True)
    is_flat = spread <= _NO_SPREAD * mean.abs().clamp(min=1)
    divisor = spread.masked_fill(is_flat, 1.0) if deviation is None else deviation
    return _like((values - mean).masked_fill(is_flat, 0.0) / divisor, rewards)


def clipped(advantages: Tensor, limit: float) -> Tensor:
    """Advantages cut at ``-limit`` and ``limit``, of any shape."""
    return advantages.clamp(-limit, limit)


def softmax_weights(scores: Tensor, tau: float) -> Tensor:
    """``exp(score / tau)`` over its sum within the last axis, (…, n).

    >>> softmax_weights(torch.tensor([0.0, 0.0]), tau=2.0)
    tensor([0.5000, 0.5000])
    """
    return _like((scores.double() / tau).softmax(-1), scores)


def _like(values: Tensor, given: Tensor) -> Tensor:
    """Whole numbers become floats of the default size."""
    kind = given.dtype if given.is_floating_point() else torch.get_default_dtype()
    return values.to(kind)
