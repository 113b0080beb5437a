"""What a user's own metric sees of a rollout, and what it has to be."""

from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["ReadOnlySumo", "Second", "SecondMetric"]

_READING = ("get", "is", "has", "convert", "could", "wants")
"""How the names of functions begin that change nothing."""
_PREDICTING = ("findRoute", "findIntermodalRoute")


@dataclass(frozen=True, slots=True)
class Second:
    """The simulation after one simulated second of a rollout."""

    sumo: Any
    """SUMO's functions as in ``libsumo`` and ``traci``, as far as they only read:
    ``second.sumo.vehicle.getCO2Emission(vehicle_id)``. Others raise AttributeError."""
    time_s: float
    """Simulated time, seconds."""
    number: int
    """1 for the first second after the decision, ``horizon_s`` for the last."""
    horizon_s: int
    """Length of the rollout, seconds."""
    signals: tuple[str, ...]
    """The decided traffic lights, in the order of their ids."""
    incoming_lanes: tuple[str, ...]
    """Their incoming lanes, each once."""
    outgoing_lanes: tuple[str, ...]
    """The lanes to which their links lead, each once."""


class SecondMetric(Protocol):
    """A metric with a memory: a class without arguments, of which each rollout has an instance.

    It may also have ``total(samples: Sequence[float]) -> float``, which makes the rollout's value
    of all samples, in order. Without it, that is their mean, as for a plain function.
    """

    def sample(self, second: Second) -> float:
        """The value in this second."""


class ReadOnlySumo:
    """SUMO's functions, without those that would change the simulation.

    A metric that changed something would make another simulation of the one that it measures. This
    prevents mistakes, not intent: the code of a metric is as trusted as the service's own.

    Args:
        sumo: The module ``libsumo``.
    """

    def __init__(self, sumo: Any) -> None:  # noqa: ANN401  a module without types
        self._sumo = sumo

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  one of a module without types
        value = getattr(self._sumo, name)
        if isinstance(value, type) and hasattr(value, "subscribe"):
            value = _ReadOnlyDomain(name, value)
        elif callable(value) and not isinstance(value, type) and not _is_reading(name):
            raise AttributeError(f"a metric may only read: not call {name}")
        setattr(self, name, value)
        return value


class _ReadOnlyDomain:
    """One of SUMO's domains, such as ``vehicle``."""

    def __init__(self, name: str, domain: Any) -> None:  # noqa: ANN401  a class without types
        self._name = name
        self._domain = domain

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  a function without types
        value = getattr(self._domain, name)
        if callable(value) and not _is_reading(name):
            raise AttributeError(f"a metric may only read: not call {self._name}.{name}")
        setattr(self, name, value)
        return value


def _is_reading(name: str) -> bool:
    return name.startswith(_READING) or name in _PREDICTING
