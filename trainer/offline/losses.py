"""The losses of both stages, on tensors.

Shapes: C candidates of T tokens each, padded; ``mask`` is 1 at a candidate's tokens and 0 at
padding. All log-probabilities are natural logarithms.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "ClippedLoss",
    "clipped_ratio_loss",
    "kl_k3",
    "mean_over_tokens",
    "reward_weighted_cross_entropy",
    "token_logps",
]


_MAX_LOG_RATIO = 20.0
"""Above e^20, far beyond any ratio that training should reach, ratios follow the tangent of the
exponential. Unbounded, they would overflow above e^88; clipped, they would have no gradient to
lead them back."""


@dataclass(frozen=True)
class ClippedLoss:
    """The policy loss of stage 2, with the figures logged beside it."""

    policy: Tensor
    """The loss, a scalar; lower is better."""
    ratio: Tensor
    """Mean ratio of new to stored probabilities, over tokens."""
    clipped: Tensor
    """Share of the tokens at which the objective is clipped and so has no gradient."""


def token_logps(logits: Tensor, targets: Tensor) -> Tensor:
    """The log-probability of each target under the logits at its position.

    Args:
        logits: (C, T, vocabulary).
        targets: (C, T), token ids.

    Returns:
        (C, T), at most 0; computed in fp32.

    >>> token_logps(torch.zeros(1, 1, 4), torch.tensor([[2]])).exp()
    tensor([[0.2500]])
    """
    logps = logits.float().log_softmax(-1)
    return logps.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over each candidate's own tokens, (C,); 0 for a candidate without tokens.

    >>> mean_over_tokens(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    tensor([2.])
    """
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def reward_weighted_cross_entropy(logps: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Stage 1: ``weight * cross-entropy``, summed over the candidates of all groups.

    The cross-entropy of a candidate is the mean of ``-log p`` over its tokens.

    Args:
        logps: (C, T), log-probabilities of the candidates' tokens under the model.
        mask: (C, T).
        weights: (C,), summing to 1 within each group.

    Returns:
        A scalar, at least 0. The caller divides by the number of groups.

    >>> logps = torch.tensor([[-1.0, -3.0], [-4.0, 0.0]])
    >>> mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    >>> reward_weighted_cross_entropy(logps, mask, torch.tensor([0.75, 0.25]))
    tensor(2.5000)
    """
    return (weights * mean_over_tokens(-logps, mask)).sum()


def clipped_ratio_loss(
    logps: Tensor, stored: Tensor, mask: Tensor, advantages: Tensor, epsilon: float
) -> ClippedLoss:
    """Stage 2 without its KL term: ``-min(r A, clip(r, 1 - epsilon, 1 + epsilon) A)``.

    r is the ratio of a token's probability under the model to its stored one (Schulman et al. 2017,
    "Proximal Policy Optimization Algorithms", equation 7), averaged over a candidate's tokens and
    then over the candidates (Shao et al. 2024, "DeepSeekMath", equation 3).

    Args:
        logps: (C, T), under the model.
        stored: (C, T), under the model that stage 2 started from.
        mask: (C, T).
        advantages: (C,), in standard deviations.
        epsilon: How far a ratio may move from 1 and still have a gradient.

    >>> at_start = torch.tensor([[-1.0]])
    >>> moved = at_start + torch.log(torch.tensor(1.5))
    >>> loss = clipped_ratio_loss(
    ...     moved, at_start, torch.ones(1, 1), torch.tensor([2.0]), epsilon=0.2)
    >>> loss.policy, loss.ratio, loss.clipped
    (tensor(-2.4000), tensor(1.5000), tensor(1.))
    """
    ratios = _ratio(logps - stored)
    gains = advantages.unsqueeze(-1)
    free, bound = ratios * gains, ratios.clamp(1 - epsilon, 1 + epsilon) * gains
    tokens = mask.sum().clamp(min=1)
    return ClippedLoss(
        policy=-mean_over_tokens(torch.minimum(free, bound), mask).mean(),
        ratio=((ratios * mask).sum() / tokens).detach(),
        clipped=(((bound < free) * mask).sum() / tokens).detach(),
    )


def kl_k3(logps: Tensor, reference: Tensor) -> Tensor:
    """An estimate of the KL divergence to the reference at each token, ``r - 1 - log r``.

    r is the reference's probability divided by the model's. Schulman's k3 estimator
    (http://joschu.net/blog/kl-approx.html): never negative, 0 where both agree, and unbiased if
    the tokens are sampled from the model. The candidates' tokens are not, so here the estimate
    measures how far the model has drifted on them.

    Args:
        logps: (C, T), under the model.
        reference: (C, T), under the frozen reference.

    Returns:
        (C, T), at least 0.

    >>> at = torch.tensor([[-1.0, -1.0]])
    >>> kl_k3(at, at + torch.log(torch.tensor([[1.0, 2.0]])))
    tensor([[0.0000, 0.3069]])
    """
    log_ratio = reference - logps
    return _ratio(log_ratio) - 1 - log_ratio


def _ratio(log_ratio: Tensor) -> Tensor:
    """The exponential up to the bound, and its tangent beyond it."""
    bounded = log_ratio.clamp(max=_MAX_LOG_RATIO)
    return bounded.exp() * (1 + (log_ratio - bounded))
