"""Confidence intervals of means over decision points, by resampling simulation runs.

Decision points of one run are not independent: what one of them looks like says much about the
next. The runs are, so it is runs that are drawn again, each with all of its points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.model import WireModel

__all__ = ["LEVEL", "Bootstrap", "Estimate"]

LEVEL = 0.95
"""Share of the resampled means that lie inside an interval."""


class Estimate(WireModel):
    """A mean and its interval."""

    value: float
    low: float | None = None
    """Null where there are fewer than two runs: nothing is known of how runs differ."""
    high: float | None = None


@dataclass(frozen=True)
class Bootstrap:
    """The percentile bootstrap over clusters.

    Davison and Hinkley (1997), "Bootstrap Methods and their Application", 3.8. With few runs such
    intervals are too narrow rather than too wide.

    >>> Bootstrap().estimate([1.0, 1.0, 4.0], ["a", "a", "b"])
    Estimate(value=2.0, low=1.0, high=4.0)
    >>> Bootstrap().estimate([1.0, 3.0], ["a", "a"])
    Estimate(value=2.0, low=None, high=None)
    """

    resamples: int = 2000
    seed: int = 0

    def estimate(self, values: Sequence[float], runs: Sequence[str]) -> Estimate | None:
        """The mean over all values, with its interval; None where there are none.

        A mean over resampled runs is the sum of their values over the number of them, so that long
        runs count more than short ones, as they do in the mean itself.

        Args:
            values: One a decision point or answer.
            runs: The run of each.
        """
        import numpy as np

        if not values:
            return None
        mean = sum(values) / len(values)
        names = sorted(set(runs))
        if len(names) < 2:
            return Estimate(value=mean)
        index = np.searchsorted(names, runs)
        sums = np.bincount(index, weights=np.asarray(values, dtype=float), minlength=len(names))
        sizes = np.bincount(index, minlength=len(names))
        random = np.random.default_rng(self.seed)
        shares = np.full(len(names), 1 / len(names))
        drawn = random.multinomial(len(names), shares, size=self.resamples)
        means = (drawn @ sums) / (drawn @ sizes)
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value=mean, low=float(low), high=float(high))
