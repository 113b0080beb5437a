"""What an episode reads of the simulation in this process, second by second."""

from collections.abc import Mapping
from math import fsum

import libsumo
from libsumo import _libsumo

from shared.signals import Program, is_green
from sim_workers.engine.episodes.messages import GreenShown, PhaseCounts, SignalSample
from sim_workers.engine.metrics import PassedVehicles
from sim_workers.engine.readings import (
    delay_of_second,
    incoming_lanes,
    outgoing_lanes,
    running_program,
)

__all__ = [
    "GreenCounter",
    "SignalSampler",
    "count_phases",
    "lane_vehicles",
    "network_delay_veh",
]

# Asked for in every second of every episode; see sim_workers.engine.readings.
_lane_halting = _libsumo.lane_getLastStepHaltingNumber
_lane_vehicle_count = _libsumo.lane_getLastStepVehicleNumber
_lane_vehicle_ids = _libsumo.lane_getLastStepVehicleIDs
_lane_waiting_s = _libsumo.lane_getWaitingTime
_vehicle_ids = _libsumo.vehicle_getIDList
_vehicle_speed_mps = _libsumo.vehicle_getSpeed


def network_delay_veh() -> float:
    """The network's delay in this second, vehicles; see :attr:`shared.rewards.Metrics.delay_veh`.

    The sum over all vehicles of ``1 - speed / allowed speed``, and 1 for each vehicle that waits to
    be inserted: one that stands counts 1, one that drives as fast as it may 0.
    """
    vehicles = _vehicle_ids()
    return delay_of_second(dict(zip(vehicles, map(_vehicle_speed_mps, vehicles), strict=True)))


def count_phases(program: Program, passed: PassedVehicles | None = None) -> dict[int, PhaseCounts]:
    """The vehicles of each green phase now."""
    counts = {}
    for index in program.greens():
        phase = program.phases[index]
        queued = sum(map(_lane_halting, phase.green_lanes))
        counts[index] = PhaseCounts(
            queued=queued,
            approaching=sum(map(_lane_vehicle_count, phase.green_lanes)) - queued,
            passed=0 if passed is None else passed.of_phase(index),
            wait_s=fsum(map(_lane_waiting_s, phase.green_lanes)),
            exit_veh=sum(map(_lane_vehicle_count, phase.exit_lanes)),
        )
    return counts


class SignalSampler:
    """Means over the seconds of a step on one signal's lanes."""

    def __init__(self, tls_id: str, terms: tuple[str, ...]) -> None:
        self.incoming = incoming_lanes(tls_id)
        self._outgoing = outgoing_lanes(tls_id) if "pressure" in terms else ()
        self._terms = terms
        self._begin()

    def _begin(self) -> None:
        self._seconds = self._queue_veh = self._pressure_veh = self._seen_veh = 0
        self._waits_s: list[float] = []
        self._speeds_mps: list[float] = []

    def add(self) -> None:
        """Takes the second that has just been simulated."""
        self._seconds += 1
        terms = self._terms
        if "queue" in terms:
            self._queue_veh += sum(map(_lane_halting, self.incoming))
        if "wait" in terms:
            self._waits_s.append(fsum(map(_lane_waiting_s, self.incoming)))
        if "pressure" in terms:
            self._pressure_veh += sum(map(_lane_vehicle_count, self.incoming))
            self._pressure_veh -= sum(map(_lane_vehicle_count, self._outgoing))
        if "speed" in terms:
            vehicles = [v for lane in self.incoming for v in _lane_vehicle_ids(lane)]
            self._seen_veh += len(vehicles)
            self._speeds_mps.append(fsum(map(_vehicle_speed_mps, vehicles)))

    def take(self) -> SignalSample:
        """The means; begins again."""
        seconds = max(1, self._seconds)
        sample = SignalSample(
            queue_veh=self._queue_veh / seconds,
            wait_s=fsum(self._waits_s) / seconds,
            pressure_veh=self._pressure_veh / seconds,
            speed_mps=fsum(self._speeds_mps) / self._seen_veh if self._seen_veh else None,
        )
        self._begin()
        return sample


class GreenCounter:
    """Queues, switches and greens of some signals since the begin, however they are run."""

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        self._lanes = tuple(lane for tls in tls_ids for lane in incoming_lanes(tls))
        self._states: dict[str, str] = dict.fromkeys(tls_ids, "")
        self._latest: dict[str, str] = dict.fromkeys(tls_ids, "")
        """The state of each signal's latest green."""
        self._phases = {tls: _greens_by_state(running_program(tls)) for tls in tls_ids}
        self._greens: dict[str, int | None] = dict.fromkeys(tls_ids)
        self._shown: list[GreenShown] = []
        self._is_green: dict[str, bool] = {}
        self.queue_sum_veh = self.seconds = self.switches = 0

    def add(self) -> None:
        """Takes the second that has just been simulated."""
        self.seconds += 1
        self.queue_sum_veh += sum(map(_lane_halting, self._lanes))
        for tls_id, before in self._states.items():
            state = libsumo.trafficlight.getRedYellowGreenState(tls_id)
            if state != before:
                self._states[tls_id] = state
                self._note(tls_id, state)

    def take(self) -> tuple[GreenShown, ...]:
        """The greens that have begun or ended since the last call."""
        shown, self._shown = tuple(self._shown), []
        return shown

    def _note(self, tls_id: str, state: str) -> None:
        if state not in self._is_green:
            self._is_green[state] = is_green(state)
        if self._is_green[state] and state != self._latest[tls_id]:
            self.switches += self._latest[tls_id] != ""
            self._latest[tls_id] = state
        phase = self._phases[tls_id].get(state)
        if phase != self._greens[tls_id]:
            self._greens[tls_id] = phase
            begun_s = float(libsumo.simulation.getTime()) - 1
            self._shown.append(GreenShown(time_s=begun_s, tls_id=tls_id, phase=phase))


def _greens_by_state(program: Program) -> dict[str, int]:
    """The green phases of a program by what they show; of equal ones the first."""
    return {program.phases[index].state: index for index in reversed(program.greens())}


def lane_vehicles(lanes: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """The ids of the vehicles on some lanes."""
    return {lane: frozenset(_lane_vehicle_ids(lane)) for lane in lanes}
