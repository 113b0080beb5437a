"""Adding up observations second by second: metrics of a rollout, vehicles that passed a signal.

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
    delay_veh: float


class MetricsRecorder:
    """Adds up samples, one per second, into the metrics of a rollout.

    Keeps a second's vehicles only until the next one: new memory costs a forked process a page
    fault for every few vehicles.

    Args:
        before: Ids of the vehicles on incoming lanes before the first step.
    """

    def __init__(self, before: frozenset[str]) -> None:
        self._vehicles = before
        self._queues_veh: list[int] = []
        self._waits_s: list[float] = []
        self._speed_sums_mps: list[float] = []
        self._delays_veh: list[float] = []
        self._incoming_veh = self._outgoing_veh = self._network_queue_veh = self._left_veh = 0

    def add(self, sample: Sample) -> None:
        """Adds the next second."""
        self._queues_veh.append(sample.queue_veh)
        self._waits_s.append(sample.wait_s)
        self._speed_sums_mps.append(sample.speed_sum_mps)
        self._delays_veh.append(sample.delay_veh)
        self._incoming_veh += len(sample.vehicles)
        self._outgoing_veh += sample.outgoing_veh
        self._network_queue_veh += sample.network_queue_veh
        self._left_veh += len(self._vehicles - sample.vehicles)
        self._vehicles = sample.vehicles

    def metrics(self) -> Metrics:
        """The metrics so far, with the series.

        Raises:
            ValueError: Nothing was sampled.
        """
        seconds, incoming_veh = len(self._queues_veh), self._incoming_veh
        if not seconds:
            raise ValueError("no second was sampled")
        return Metrics(
            queue_veh=sum(self._queues_veh) / seconds,
            queue_veh_max=max(self._queues_veh),
            wait_s=fsum(self._waits_s) / seconds,
            speed_mps=fsum(self._speed_sums_mps) / incoming_veh if incoming_veh else None,
            throughput_veh=self._left_veh,
            pressure_veh=(incoming_veh - self._outgoing_veh) / seconds,
            network_queue_veh=self._network_queue_veh / seconds,
            delay_veh=fsum(self._delays_veh) / seconds,
            series=tuple(self._queues_veh),
        )


class PassedVehicles:
    """Counts, for each green phase, the vehicles that left its lanes during its latest green."""

    def __init__(self) -> None:
        self._phase: int | None = None
        self._before: Mapping[str, frozenset[str]] = {}
        self._passed: dict[int, int] = {}

    def update(self, index: int, phase: Phase, vehicles: Mapping[str, frozenset[str]]) -> None:
        """Adds the next second.

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
        """Vehicles that passed during the phase's latest green; 0 before its first."""
        return self._passed.get(index, 0)
