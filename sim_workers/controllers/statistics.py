"""Figures of the same controller's episodes over several seeds. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread", "spread_of"]

# Quantiles of Student's t for a 95 % interval, from one degree of freedom up; beyond, the normal's.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.960


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds."""

    median: float
    mean: float
    half_width: float | None
    """Half of the 95 % interval of the mean, by Student's t; None for a single seed."""


def spread_of(values: Sequence[float]) -> Spread | None:
    """The spread of a figure; None if there are no values.

    A gridlocked run is far from normal: the median then says more than the mean and its interval.

    >>> spread_of([1.0, 3.0])
    Spread(median=2.0, mean=2.0, half_width=12.706)
    >>> spread_of([]) is None
    True
    """
    if not values:
        return None
    count = len(values)
    half_width = None
    if count > 1:
        quantile = _T[count - 2] if count - 2 < len(_T) else _NORMAL
        half_width = quantile * statistics.stdev(values) / math.sqrt(count)
    return Spread(statistics.median(values), statistics.fmean(values), half_width)
