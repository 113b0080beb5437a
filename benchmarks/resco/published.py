"""What RESCO publishes, as it stands in its repository at ``fc65e91``.

https://github.com/Pi-Star-Lab/RESCO: average delay in seconds. Rules were run many times: mean, and
median where it differs. Learners are given by the best of their training episodes, and by the mean
of the last ten, which is what a user would get who stops the training there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LEARNERS", "NETWORKS", "RULES", "Published", "best_learner"]

NETWORKS = (
    *("cologne1", "ingolstadt1", "cologne3", "cologne8", "ingolstadt7"),
    *("ingolstadt21", "grid4x4", "arterial4x4"),
)
"""The cheap ones first."""


@dataclass(frozen=True)
class Published:
    """An average delay, seconds."""

    value: float
    """Of a rule the mean of its runs, of a learner its best training episode."""
    median: float | None = None
    """Of a rule's runs, where it differs."""
    last_ten: float | None = None
    """Of a learner, mean of the last ten training episodes, where it is known."""


def _of(*values: "float | tuple[float, float] | None") -> dict[str, Published]:
    """By network, in the order of the publication; a pair is a mean and a median."""
    order = ("cologne1", "cologne3", "cologne8", "ingolstadt1", "ingolstadt7", "ingolstadt21")
    return {
        name: Published(*value) if isinstance(value, tuple) else Published(value)
        for name, value in zip((*order, "grid4x4", "arterial4x4"), values, strict=True)
        if value is not None
    }


def _learner(best: tuple[float, ...], last_ten: tuple[float, ...] = ()) -> dict[str, Published]:
    found = _of(*best)
    for name, value in zip(list(found), last_ten, strict=False):
        found[name] = Published(found[name].value, last_ten=value)
    return found


RULES: Mapping[str, Mapping[str, Published]] = {
    "fixed": _of(56.6, (46.4, 39.0), 63.8, 39.4, 91.3, 133.1, None, None),
    "greedy": _of(27.8, (90.7, 22.0), 21.9, 28.3, 80.6, (76.3, 69.6), 34.3, 820.8),
    "max-pressure": _of(
        *((65.9, 31.1), (162.3, 28.1), (47.7, 29.7), 23.6, 46.8, (136.7, 115.6), 52.6, 952.8)
    ),
}
"""By the controller's name here, then by network."""

LEARNERS: Mapping[str, Mapping[str, Published]] = {
    "IDQN": _learner(
        (26.1, 24.0, 22.1, 21.5, 31.2, 59.6, 33.0, 1168), (28.9, 95.5, 22.3, 22.2, 35.7, 86.2)
    ),
    "IPPO": _learner(
        (43.2, 24.0, 21.6, 20.9, 31.7, 93.1, 44.0, 686.6), (210.8, 123.3, 22.5, 22.7, 32.5, 397.2)
    ),
    "MPLight": _learner((28.7, 83.7, 60.4, 28.3, 48.2, 78.2, 46.9, 837.8)),
    "FMA2C": _learner((30.8, 26.9, 33.9, 27.0, 51.4, 90.3, 99.8, 654.1)),
}
"""By the learner's name, then by network."""


def best_learner(network: str) -> str:
    """The learner whose best training episode is the best on a network.

    >>> best_learner("cologne1"), best_learner("ingolstadt1")
    ('IDQN', 'IPPO')
    """
    return min(LEARNERS, key=lambda name: LEARNERS[name][network].value)
