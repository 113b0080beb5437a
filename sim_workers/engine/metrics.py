"""Adding up what is seen second by second: metrics of a rollout, vehicles that passed a signal.

Pure bookkeeping: knows nothing of SUMO.
"""

from collections.abc import Mapping
from math import fsum
from typing import NamedTuple

from shared.rewards import Metrics
from shared.signals import Phase

__all__ = ["HALTING_SPEED_MPS", "MetricsRecorder", "PassedVehicles", "Sample"]

HALTING_SPEED_MPS = 0.1
"""Slower vehicles are queued: SUMO's ``SUMO_const_haltingSpeed``."""


class Sample(NamedTuple):
    """One second of a rollout."""

    vehicles: frozenset[str]
    """Ids of the vehicles on incoming lanes."""
    queue_veh: int
    wait_s: float
    speed_sum_mps: float
    """Sum of the speeds of the vehicles on incoming lanes."""
    outgoing_veh: int
    network_queue_veh: int


class MetricsRecorder:
    """Collects samples, one per second, into the metrics of a rollout.

    Args:
        before: Ids of the vehicles on incoming lanes before the first step.
    """

    def __init__(self, before: frozenset[str]) -> None:
        self._before = before
        self._samples: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Takes the next second."""
        self._samples.append(sample)

    def metrics(self) -> Metrics:
        """The metrics so far, with the series.

        Raises:
            ValueError: Nothing was sampled.
        """
        samples = self._samples
        if not samples:
            raise ValueError("no second was sampled")
        seconds = len(samples)
        incoming = sum(len(s.vehicles) for s in samples)
        return Metrics(
            queue_veh=sum(s.queue_veh for s in samples) / seconds,
            queue_veh_max=max(s.queue_veh for s in samples),
            wait_s=fsum(s.wait_s for s in samples) / seconds,
            speed_mps=fsum(s.speed_sum_mps for s in samples) / incoming if incoming else None,
            throughput_veh=self._left(),
            pressure_veh=(incoming - sum(s.outgoing_veh for s in samples)) / seconds,
            network_queue_veh=sum(s.network_queue_veh for s in samples) / seconds,
            series=tuple(s.queue_veh for s in samples),
        )

    def _left(self) -> int:
        befores = [self._before, *(s.vehicles for s in self._samples)]
        return sum(len(b - s.vehicles) for b, s in zip(befores, self._samples, strict=False))


class PassedVehicles:
    """Counts, for each green phase, the vehicles that left its lanes during its latest green."""

    def __init__(self) -> None:
        self._phase: int | None = None
        self._before: Mapping[str, frozenset[str]] = {}
        self._passed: dict[int, int] = {}

    def update(self, index: int, phase: Phase, vehicles: Mapping[str, frozenset[str]]) -> None:
        """Takes the next second.

        Args:
            index: The current phase's index.
            phase: The current phase.
            vehicles: Ids of the vehicles on each incoming lane.
        """
        if phase.is_green:
            if index != self._phase:
                self._passed[index] = 0
            still_here = frozenset[str]().union(*vehicles.values())
            self._passed[index] += sum(
                len(self._before.get(lane, frozenset()) - still_here) for lane in phase.green_lanes
            )
        self._phase, self._before = index, vehicles

    def of_phase(self, index: int) -> int:
        """Vehicles that the phase let pass in its latest green; 0 before its first."""
        return self._passed.get(index, 0)
