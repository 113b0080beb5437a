"""Confidence intervals of means over decision points, by resampling simulation runs.

Decision points of one run are not independent: each says much about the next. Runs are, so whole
runs are resampled, each with all of its points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.model import WireModel

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LEVEL", "Bootstrap", "Estimate"]

LEVEL = 0.95
"""Share of the resampled means that lie inside an interval."""


class Estimate(WireModel):
    """A mean and its interval."""

    value: float
    low: float | None = None
    """Null with fewer than two runs: nothing is known about how runs differ."""
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
        """The mean over all values, with its interval; None if there are none.

        The mean of a resample is the sum of its values divided by their number, so that long runs
        count more than short ones, as they do in the mean itself.

        Args:
            values: One per decision point or answer.
            runs: The run of each value.
        """
        return self.ratio(values, [1.0] * len(values), runs)

    def ratio(
        self, values: Sequence[float], others: Sequence[float], runs: Sequence[str]
    ) -> Estimate | None:
        """The ratio of two means over the same points, with its interval; None if undefined.

        Both means are taken over the same resampled runs, so runs that are hard for both do not
        widen the interval. The ratio is undefined if the denominator is 0, overall or in any
        resample.

        >>> Bootstrap().ratio([1.0, 2.0], [2.0, 4.0], ["a", "b"])
        Estimate(value=0.5, low=0.5, high=0.5)

        Args:
            values: One per decision point.
            others: The values to compare with, point by point.
            runs: The run of each point.
        """
        import numpy as np

        if not sum(others):
            return None
        ratio = sum(values) / sum(others)
        if (draws := self._draws(runs)) is None:
            return Estimate(value=ratio)
        below = draws.sums(others)
        if not below.all():
            return None
        low, high = np.quantile(draws.sums(values) / below, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value=ratio, low=float(low), high=float(high))

    def _draws(self, runs: Sequence[str]) -> "_Draws | None":
        """How often each run is drawn in each resample; None with fewer than two runs."""
        import numpy as np

        names = sorted(set(runs))
        if len(names) < 2:
            return None
        random = np.random.default_rng(self.seed)
        shares = np.full(len(names), 1 / len(names))
        times = random.multinomial(len(names), shares, size=self.resamples)
        return _Draws(np.searchsorted(names, runs), times)


@dataclass(frozen=True)
class _Draws:
    """Resamples of runs."""

    run_of: "np.ndarray"
    """The number of the run of each point."""
    times: "np.ndarray"
    """How often each run was drawn, (resamples, runs)."""

    def sums(self, values: Sequence[float]) -> "np.ndarray":
        """The sum of the values over the points of each resample."""
        import numpy as np

        weights = np.asarray(values, dtype=float)
        of_runs = np.bincount(self.run_of, weights=weights, minlength=self.times.shape[1])
        found: np.ndarray = self.times @ of_runs
        return found
