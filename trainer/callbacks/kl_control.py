"""Adapts the weight of the KL term to the measured KL. Pure."""

import math
from dataclasses import dataclass

__all__ = ["KLControl"]


@dataclass(frozen=True)
class KLControl:
    """Keeps the KL between two bounds: more weight above the upper one, less below the lower.

    Raises:
        ValueError: The bounds or the factor are inconsistent.
    """

    low: float = 0.01
    high: float = 0.1
    factor: float = 2.0
    """The weight is multiplied or divided by this."""
    least: float = 1e-3
    """Minimum weight: from 0 it could not rise again."""
    most: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high:
            raise ValueError(f"kl_low ({self.low}) must be smaller than kl_high ({self.high})")
        if self.factor <= 1:
            raise ValueError(f"kl_adapt_factor ({self.factor}) must be greater than 1")
        if not 0 < self.least <= self.most:
            raise ValueError(
                f"kl_coeff_min ({self.least}) must be above 0 and at most kl_coeff_max "
                f"({self.most})"
            )

    def check_start(self, beta: float) -> None:
        """Checks that the weight begins between its bounds.

        Raises:
            ValueError: It does not.
        """
        if not self.least <= beta <= self.most:
            raise ValueError(
                f"kl_coeff must begin between kl_coeff_min ({self.least}) and kl_coeff_max "
                f"({self.most}); it is {beta}"
            )

    def adapted(self, beta: float, kl: float) -> float:
        """The next weight.

        Args:
            beta: The current weight; positive.
            kl: The KL measured with it; NaN changes nothing.

        >>> control = KLControl()
        >>> control.adapted(0.04, 0.2), control.adapted(0.04, 0.05), control.adapted(0.04, 0.002)
        (0.08, 0.04, 0.02)
        """
        if math.isnan(kl) or self.low <= kl <= self.high:
            return beta
        wanted = beta * self.factor if kl > self.high else beta / self.factor
        return min(self.most, max(self.least, wanted))
