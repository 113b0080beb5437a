"""Behaviour policies: what controls the signals while states are collected.

A policy is asked every few seconds, at each signal with a green that has lasted its minimum but not
yet its maximum, and answers with an *extend* decision. It is a pure function of its inputs and the
run's seed, so that a run can be repeated and resumed.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from shared.model import WireModel

__all__ = ["PolicySpec", "choose", "greedy_phase", "keeps_green"]


class PolicySpec(WireModel):
    """A behaviour policy."""

    name: Literal["program", "random", "max_pressure", "stored"] = "program"
    """``program`` leaves the signals alone, ``random`` tosses a coin, ``max_pressure`` uses
    :func:`keeps_green`, ``stored`` repeats :attr:`stored`."""
    epsilon: float = Field(default=0.0, ge=0, le=1)
    """Share of the decisions that are random instead."""
    extend_s: int = Field(default=5, ge=1)
    """Seconds between decisions, counted from the simulation's start, and the length of a *yes*."""
    stored: dict[str, dict[float, bool]] | None = None
    """For ``stored``: by signal and time, whether the green is extended. Empty otherwise."""

    @property
    def label(self) -> str:
        """A name for use in files: ``max_pressure-random0.2``.

        >>> PolicySpec(name="max_pressure", epsilon=0.2).label
        'max_pressure-random0.2'
        """
        return f"{self.name}-random{self.epsilon:g}" if self.epsilon else self.name

    @property
    def is_idle(self) -> bool:
        """Whether it never makes a decision."""
        return self.name == "program" and self.epsilon == 0


def choose(
    spec: PolicySpec,
    seed: int,
    tls_id: str,
    time_s: float,
    phase: int,
    pressures: Mapping[int, int],
) -> bool | None:
    """Whether the current green is extended; None leaves it to the program.

    Args:
        spec: The policy.
        seed: The run's seed, which also determines the random decisions.
        tls_id: The signal.
        time_s: Simulation time, seconds.
        phase: The current phase, a green.
        pressures: By green phase, vehicles on its lanes minus those on the lanes to which it leads.
    """
    if _uniform(seed, tls_id, time_s, "explore") < spec.epsilon or spec.name == "random":
        return _uniform(seed, tls_id, time_s, "coin") < 0.5
    if spec.name == "max_pressure":
        return keeps_green(phase, pressures)
    if spec.name == "stored":
        return (spec.stored or {}).get(tls_id, {}).get(time_s)
    return None


def keeps_green(phase: int, pressures: Mapping[int, int]) -> bool:
    """Max-pressure: the current green continues while no other green has more pressure.

    The rule of Varaiya (2013), "Max pressure control of a network of signalized intersections", for
    decisions that may only keep or end the current green; a tie keeps it.

    >>> keeps_green(0, {0: 3, 2: 4}), keeps_green(0, {0: 4, 2: 4})
    (False, True)
    """
    return pressures[phase] >= max(pressures.values())


def greedy_phase(current: int, vehicles_by_green: Mapping[int, int]) -> int:
    """Greedy: the green phase with the most vehicles on its lanes.

    The current phase wins a tie, otherwise the lowest index does.

    Args:
        current: The current phase; it need not be a green.
        vehicles_by_green: By green phase, vehicles on its lanes; at least one green.

    >>> greedy_phase(2, {0: 4, 2: 4, 4: 1}), greedy_phase(4, {0: 4, 2: 4, 4: 1})
    (2, 0)
    """
    most = max(vehicles_by_green.values())
    if vehicles_by_green.get(current) == most:
        return current
    return min(phase for phase, vehicles in vehicles_by_green.items() if vehicles == most)


def _uniform(seed: int, *what: object) -> float:
    """A number in [0, 1) that depends on nothing but the arguments."""
    digest = hashlib.sha256(repr((seed, *what)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
