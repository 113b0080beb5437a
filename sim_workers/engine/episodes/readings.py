"""What an episode reads from the simulation in this process, second by second."""

from collections.abc import Mapping
from math import fsum

import libsumo

from shared.signals import Phase, Program, is_green
from sim_workers.engine.episodes.messages import GreenShown, PhaseCounts, SignalSample
from sim_workers.engine.readings import (
    incoming_lanes,
    lane_halting,
    lane_vehicle_count,
    lane_vehicle_ids,
    lane_waiting_s,
    link_states,
    outgoing_lanes,
    running_program,
    vehicle_speed_mps,
)

__all__ = ["GreenCounter", "GreenLanes", "SignalSampler", "greens_of", "lane_vehicles"]


class GreenLanes:
    """The traffic on the lanes of a green phase, read when it is asked for."""

    def __init__(self, phase: Phase) -> None:
        self._lanes, self._exits = phase.green_lanes, phase.exit_lanes

    @property
    def queued(self) -> int:
        """Standing vehicles on its lanes."""
        return sum(map(lane_halting, self._lanes))

    @property
    def vehicles(self) -> int:
        """All vehicles on its lanes."""
        return sum(map(lane_vehicle_count, self._lanes))

    @property
    def exit_veh(self) -> int:
        """Vehicles on the lanes that it leads to."""
        return sum(map(lane_vehicle_count, self._exits))

    @property
    def pressure(self) -> int:
        """Vehicles on its lanes minus vehicles on the lanes that it leads to."""
        return self.vehicles - self.exit_veh

    def counts(self, passed: int) -> PhaseCounts:
        """All of these counts.

        Args:
            passed: Vehicles that left its lanes during its latest green.
        """
        queued = self.queued
        return PhaseCounts(
            queued=queued,
            approaching=self.vehicles - queued,
            passed=passed,
            wait_s=fsum(map(lane_waiting_s, self._lanes)),
            exit_veh=self.exit_veh,
        )


def greens_of(program: Program) -> dict[int, GreenLanes]:
    """The green phases of a program."""
    return {index: GreenLanes(program.phases[index]) for index in program.greens()}


class SignalSampler:
    """Means over the seconds of a step, on one signal's lanes."""

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
        """Adds the second that has just been simulated."""
        self._seconds += 1
        terms = self._terms
        if "queue" in terms:
            self._queue_veh += sum(map(lane_halting, self.incoming))
        if "wait" in terms:
            self._waits_s.append(fsum(map(lane_waiting_s, self.incoming)))
        if "pressure" in terms:
            self._pressure_veh += sum(map(lane_vehicle_count, self.incoming))
            self._pressure_veh -= sum(map(lane_vehicle_count, self._outgoing))
        if "speed" in terms:
            vehicles = [v for lane in self.incoming for v in lane_vehicle_ids(lane)]
            self._seen_veh += len(vehicles)
            self._speeds_mps.append(fsum(map(vehicle_speed_mps, vehicles)))

    def take(self) -> SignalSample:
        """The means; then starts afresh."""
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
    """Queues, switches and greens of some signals since the start, however they are controlled."""

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        self._lanes = tuple(lane for tls in tls_ids for lane in incoming_lanes(tls))
        self._tls_ids = tls_ids
        self._states = [""] * len(tls_ids)
        self._latest: dict[str, str] = dict.fromkeys(tls_ids, "")
        """The state of each signal's latest green."""
        self._phases = {tls: _greens_by_state(running_program(tls)) for tls in tls_ids}
        self._greens: dict[str, int | None] = dict.fromkeys(tls_ids)
        self._shown: list[tuple[float, str, int | None]] = []
        self._is_green: dict[str, bool] = {}
        self.queue_sum_veh = self.seconds = self.switches = 0

    def add(self) -> None:
        """Adds the second that has just been simulated."""
        self.seconds += 1
        self.queue_sum_veh += sum(map(lane_halting, self._lanes))
        states = list(map(link_states, self._tls_ids))
        if states == self._states:
            return
        for tls_id, before, state in zip(self._tls_ids, self._states, states, strict=True):
            if state != before:
                self._note(tls_id, state)
        self._states = states

    def take(self) -> tuple[GreenShown, ...]:
        """The greens that have begun or ended since the last call."""
        shown, self._shown = self._shown, []
        return tuple(GreenShown(time_s=at_s, tls_id=tls, phase=one) for at_s, tls, one in shown)

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
            self._shown.append((begun_s, tls_id, phase))


def _greens_by_state(program: Program) -> dict[str, int]:
    """A program's green phases by the state they show; among equals, the first."""
    return {program.phases[index].state: index for index in reversed(program.greens())}


def lane_vehicles(lanes: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """The ids of the vehicles on some lanes."""
    return {lane: frozenset(lane_vehicle_ids(lane)) for lane in lanes}
