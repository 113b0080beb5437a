"""The weight of the KL term follows the KL."""

import pytest

from trainer.callbacks.kl_control import KLControl


@pytest.mark.parametrize(
    ("beta", "kl", "expected"),
    [
        (0.04, 0.11, 0.08),
        (0.04, 0.1, 0.04),
        (0.04, 0.05, 0.04),
        (0.04, 0.01, 0.04),
        (0.04, 0.009, 0.02),
        (0.04, 0.0, 0.02),
        (0.04, -0.001, 0.02),
        (0.04, float("nan"), 0.04),
        (0.04, float("inf"), 0.08),
        (8.0, 0.5, 10.0),
        (10.0, 0.5, 10.0),
        (0.0015, 0.0, 0.001),
        (0.001, 0.0, 0.001),
    ],
)
def test_up_above_and_down_below(beta: float, kl: float, expected: float) -> None:
    """Doubled above 0.1, halved below 0.01, left alone between, never beyond its own bounds."""
    assert KLControl().adapted(beta, kl) == pytest.approx(expected)


def test_bounds_of_ones_own() -> None:
    """The bounds and the factor are what the settings say."""
    control = KLControl(low=1, high=2, factor=3, least=0.5, most=100)
    assert [control.adapted(6, kl) for kl in (0.5, 1.5, 2.5)] == [2, 6, 18]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 0.1, "high": 0.1}, "kl_low"),
        ({"factor": 1.0}, "kl_adapt_factor"),
        ({"least": 0.0}, "kl_coeff_min"),
        ({"least": 2.0, "most": 1.0}, "kl_coeff_max"),
    ],
)
def test_bounds_that_make_no_sense(values: dict[str, float], message: str) -> None:
    """The setting is named."""
    with pytest.raises(ValueError, match=message):
        KLControl(**values)
