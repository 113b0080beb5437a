"""The losses of both stages on tensors that can be computed by hand."""

import math

import pytest
import torch

from trainer.offline.losses import (
    clipped_ratio_loss,
    kl_k3,
    mean_over_tokens,
    reward_weighted_cross_entropy,
    token_logps,
)


def _logs(*probabilities: list[float]) -> torch.Tensor:
    return torch.tensor(probabilities).log()


def test_log_probabilities_are_those_of_the_targets() -> None:
    """Logits 0 and log 3 are the probabilities 1/4 and 3/4."""
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)]]])
    found = token_logps(logits, torch.tensor([[0, 1]])).exp()
    assert found.tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]


def test_logits_in_16_bits_are_summed_in_32() -> None:
    """A softmax over bf16 would round the result to three digits."""
    logits = torch.zeros(1, 1, 1000, dtype=torch.bfloat16)
    assert token_logps(logits, torch.tensor([[5]])).item() == pytest.approx(-math.log(1000))


def test_padding_counts_in_no_mean() -> None:
    """Nor does a candidate without tokens divide by zero."""
    values = torch.tensor([[2.0, 4.0, 99.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert mean_over_tokens(values, mask).tolist() == [3.0, 0.0]


def test_cross_entropy_is_weighted_by_candidate() -> None:
    """0.8 of the mean of -log 1/2 and -log 1/4, and 0.2 of -log 1/8: in units of log 2."""
    logps = _logs([1 / 2, 1 / 4], [1 / 8, 1.0])
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    found = reward_weighted_cross_entropy(logps, mask, torch.tensor([0.8, 0.2]))
    assert found.item() == pytest.approx((0.8 * 1.5 + 0.2 * 3) * math.log(2))


def test_cross_entropy_raises_what_has_more_weight_the_more() -> None:
    """The gradient of a candidate's log-probability is minus its weight."""
    logps = _logs([0.5], [0.5]).requires_grad_()
    loss = reward_weighted_cross_entropy(logps, torch.ones(2, 1), torch.tensor([0.7, 0.3]))
    (found,) = torch.autograd.grad(loss, logps)
    assert found.flatten().tolist() == pytest.approx([-0.7, -0.3])


@pytest.mark.parametrize(
    ("probability", "advantage", "objective", "gradient"),
    [
        (0.5, 1.0, 1.0, True),  # where it began
        (0.55, 1.0, 1.1, True),  # within reach
        (0.65, 1.0, 1.2, False),  # up, beyond reach: cut
        (0.3, 1.0, 0.6, True),  # down by mistake: pulled back
        (0.35, -1.0, -0.8, False),  # down, beyond reach: cut
        (0.75, -1.0, -1.5, True),  # up by mistake: pulled back
    ],
)
def test_ratios_are_clipped_on_the_side_of_the_gain(
    probability: float, advantage: float, objective: float, gradient: bool
) -> None:
    """Against a stored 1/2, with epsilon 0.2."""
    logps = _logs([probability]).requires_grad_()
    loss = clipped_ratio_loss(
        logps, _logs([0.5]), torch.ones(1, 1), torch.tensor([advantage]), epsilon=0.2
    )
    (found,) = torch.autograd.grad(loss.policy, logps)
    assert loss.policy.item() == pytest.approx(-objective)
    assert bool(found.abs().sum() > 0) is gradient
    assert loss.clipped.item() == float(not gradient)


def test_the_clipped_loss_is_a_mean_over_candidates_of_means_over_tokens() -> None:
    """A long candidate counts as much as a short one; the mean ratio is over tokens."""
    stored = _logs([0.5, 0.5], [0.5, 1.0])
    logps = _logs([0.55, 0.5], [0.45, 1.0])
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    loss = clipped_ratio_loss(logps, stored, mask, torch.tensor([2.0, -1.0]), epsilon=0.2)
    assert loss.policy.item() == pytest.approx(-(2 * (1.1 + 1.0) / 2 - 0.9) / 2)
    assert loss.ratio.item() == pytest.approx((1.1 + 1.0 + 0.9) / 3)


def test_k3_is_the_kl_on_average_over_tokens_of_the_model() -> None:
    """Weighted by the model's own probabilities it is sum p log(p / q), to rounding."""
    model, reference = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.2, 0.5, 0.3])
    estimate = (model * kl_k3(model.log(), reference.log())).sum()
    exact = (model * (model / reference).log()).sum()
    assert estimate.item() == pytest.approx(exact.item())


def test_k3_is_never_negative() -> None:
    """The estimate r - 1 - log r has its minimum, 0, at r = 1."""
    found = kl_k3(_logs([0.1, 0.5, 0.9]), _logs([0.5, 0.5, 0.5]))
    assert found[0, 1].item() == 0
    assert (found[0, ::2] > 0).all()
    assert found[0, 0].item() == pytest.approx(5 - 1 - math.log(5))


def test_tokens_that_became_impossible_leave_numbers() -> None:
    """A token at e^-200 gives neither infinity nor NaN, and so no such gradient."""
    logps = torch.tensor([[-200.0, -1.0]], requires_grad=True)
    stored = torch.tensor([[-1.0, -200.0]])
    loss = clipped_ratio_loss(logps, stored, torch.ones(1, 2), torch.tensor([-1.0]), epsilon=0.2)
    (found,) = torch.autograd.grad(loss.policy + kl_k3(logps, stored).mean(), logps)
    assert found.isfinite().all()


def test_a_collapsed_token_is_pulled_back() -> None:
    """The KL term raises a probability that fell to e^-200, not further down."""
    logps = torch.tensor([[-200.0]], requires_grad=True)
    (found,) = torch.autograd.grad(kl_k3(logps, torch.tensor([[-1.0]])).mean(), logps)
    assert found.item() == pytest.approx(1 - math.exp(20))


def test_a_ratio_beyond_all_bounds_still_teaches() -> None:
    """A bad token whose ratio is e^199 loses probability."""
    logps = torch.tensor([[-1.0]], requires_grad=True)
    loss = clipped_ratio_loss(
        logps, torch.tensor([[-200.0]]), torch.ones(1, 1), torch.tensor([-1.0]), epsilon=0.2
    )
    (found,) = torch.autograd.grad(loss.policy, logps)
    assert found.item() == pytest.approx(math.exp(20))


def test_up_to_the_bound_ratios_are_exact() -> None:
    """A log ratio of 19 gives e^19 - 1 - 19, and its gradient."""
    logps = torch.tensor([[-20.0]], requires_grad=True)
    estimate = kl_k3(logps, torch.tensor([[-1.0]])).mean()
    (found,) = torch.autograd.grad(estimate, logps)
    assert estimate.item() == pytest.approx(math.exp(19) - 20)
    assert found.item() == pytest.approx(1 - math.exp(19))
