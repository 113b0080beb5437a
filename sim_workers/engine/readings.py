"""What is read from the simulation in this process: signals, lanes, vehicles.

Nothing here moves a vehicle or changes a light; :mod:`sim_workers.engine.simulation` and
:mod:`sim_workers.engine.episodes.run` do.
"""

import hashlib
from collections.abc import Mapping
from itertools import chain
from math import fsum

import libsumo
from libsumo import _libsumo

from shared.signals import Phase, Program, Signal, SignalState
from sim_workers.engine.metrics import HALTING_SPEED_MPS, Sample

__all__ = [
    "ObservedLanes",
    "WayTrace",
    "describe_signal",
    "incoming_lanes",
    "lane_halting",
    "lane_vehicle_count",
    "lane_vehicle_ids",
    "lane_waiting_s",
    "link_states",
    "moment",
    "moment_digest",
    "network_delay_veh",
    "outgoing_lanes",
    "pressures",
    "programs_of",
    "running_program",
    "signal_state",
    "vehicle_speed_mps",
    "vehicles_by_green",
]

_PROGRAM_KINDS = {0: "static", 3: "actuated", 4: "nema", 5: "delay_based"}
_RAIL = (1, 2)
"""SUMO's types of rail signals and rail crossings, which it lists as traffic lights."""
_OFF_THE_ROAD = ("",)
"""The lane that SUMO reports for a vehicle that is on none."""
_TRACE_EVERY_S = 5

# Called a dozen times or so in every second of a rollout or an episode. The functions of libsumo's
# own module only call these, which takes as long again as getting the answer.
lane_halting = _libsumo.lane_getLastStepHaltingNumber
lane_vehicle_count = _libsumo.lane_getLastStepVehicleNumber
lane_vehicle_ids = _libsumo.lane_getLastStepVehicleIDs
lane_waiting_s = _libsumo.lane_getWaitingTime
link_states = _libsumo.trafficlight_getRedYellowGreenState
vehicle_speed_mps = _libsumo.vehicle_getSpeed
_pending_ids = _libsumo.simulation_getPendingVehicles
_vehicle_allowed_mps = _libsumo.vehicle_getAllowedSpeed
_vehicle_ids = _libsumo.vehicle_getIDList
_vehicle_lane = _libsumo.vehicle_getLaneID


def describe_signal(tls_id: str, min_green_s: float, max_green_s: float) -> Signal:
    """Everything about a traffic light that does not change."""
    return Signal(
        tls_id=tls_id,
        incoming_lanes=incoming_lanes(tls_id),
        outgoing_lanes=outgoing_lanes(tls_id),
        programs=programs_of(tls_id),
        min_green_s=min_green_s,
        max_green_s=max_green_s,
    )


def programs_of(tls_id: str) -> dict[str, Program]:
    """The programs of a traffic light, by id."""
    links = libsumo.trafficlight.getControlledLinks(tls_id)
    return {
        logic.programID: Program(
            program_id=logic.programID,
            kind=_PROGRAM_KINDS.get(logic.type, f"type {logic.type}"),
            phases=tuple(
                Phase(
                    duration_s=phase.duration,
                    state=phase.state,
                    green_lanes=_green_lanes(phase.state, links, 0),
                    exit_lanes=_green_lanes(phase.state, links, 1),
                    next_phases=tuple(phase.next),
                )
                for phase in logic.phases
            ),
        )
        for logic in libsumo.trafficlight.getAllProgramLogics(tls_id)
    }


def running_program(tls_id: str) -> Program:
    """The program that a traffic light runs."""
    return programs_of(tls_id)[libsumo.trafficlight.getProgram(tls_id)]


def traffic_lights() -> list[str]:
    """The ids of the traffic lights, sorted, without rail signals and level crossings."""
    light = libsumo.trafficlight
    return [
        tls_id
        for tls_id in sorted(light.getIDList())
        if all(logic.type not in _RAIL for logic in light.getAllProgramLogics(tls_id))
    ]


def signal_state(tls_id: str) -> SignalState:
    """The present state of a traffic light; its elapsed time is wrong in a restored simulation."""
    return SignalState(
        program_id=libsumo.trafficlight.getProgram(tls_id),
        phase=libsumo.trafficlight.getPhase(tls_id),
        elapsed_s=libsumo.trafficlight.getSpentDuration(tls_id),
    )


def incoming_lanes(tls_id: str) -> tuple[str, ...]:
    """The distinct lanes of ``trafficlight.getControlledLanes``, in link order."""
    return tuple(dict.fromkeys(libsumo.trafficlight.getControlledLanes(tls_id)))


def pressures(program: Program) -> dict[int, int]:
    """By green phase, vehicles on its lanes minus vehicles on the lanes to which it leads."""
    count = libsumo.lane.getLastStepVehicleNumber
    return {
        index: sum(map(count, program.phases[index].green_lanes))
        - sum(map(count, program.phases[index].exit_lanes))
        for index in program.greens()
    }


def vehicles_by_green(program: Program) -> dict[int, int]:
    """By green phase, vehicles on its lanes."""
    count = libsumo.lane.getLastStepVehicleNumber
    return {index: sum(map(count, program.phases[index].green_lanes)) for index in program.greens()}


class ObservedLanes:
    """The lanes of some traffic lights, each once, in the order of the signals and links.

    Sums of floats are rounded once, from the exact sum, so that they are equal to the last bit in
    any order and with any version of Python (``sum`` compensates from 3.12 on).
    """

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        self.tls_ids = tls_ids
        self._incoming = tuple(dict.fromkeys(i for tls in tls_ids for i in incoming_lanes(tls)))
        self._outgoing = tuple(dict.fromkeys(o for tls in tls_ids for o in outgoing_lanes(tls)))

    def vehicles(self) -> frozenset[str]:
        """Ids of the vehicles on the incoming lanes."""
        return frozenset(chain.from_iterable(map(lane_vehicle_ids, self._incoming)))

    def sample(self) -> Sample:
        """One second of a rollout."""
        incoming, vehicles, everywhere = self._incoming, self.vehicles(), _vehicle_ids()
        queue_veh = sum(map(lane_halting, incoming))
        speeds_mps = dict(zip(everywhere, map(vehicle_speed_mps, everywhere), strict=True))
        standing = [v for v, speed in speeds_mps.items() if speed < HALTING_SPEED_MPS]
        return Sample(
            vehicles=vehicles,
            queue_veh=queue_veh,
            wait_s=fsum(map(lane_waiting_s, incoming)),
            speed_sum_mps=fsum(map(speeds_mps.__getitem__, vehicles)),
            outgoing_veh=sum(map(lane_vehicle_count, self._outgoing)),
            network_queue_veh=queue_veh + self._halting_elsewhere(vehicles, standing),
            delay_veh=network_delay_veh(speeds_mps),
        )

    def _halting_elsewhere(self, vehicles: frozenset[str], standing: list[str]) -> int:
        """The sum of ``lane.getLastStepHaltingNumber`` over all lanes but the incoming ones.

        Only lanes with a standing vehicle are asked: most are empty. SUMO decides whether such a
        vehicle counts; a parked one does not.

        Args:
            vehicles: The vehicles on the incoming lanes.
            standing: All vehicles slower than 0.1 m/s.
        """
        elsewhere = (v for v in standing if v not in vehicles)
        lanes = set(map(_vehicle_lane, elsewhere)).difference(self._incoming, _OFF_THE_ROAD)
        return sum(map(lane_halting, lanes))


def network_delay_veh(speeds_mps: Mapping[str, float] | None = None) -> float:
    """Delay in this second, in vehicles; see :attr:`shared.rewards.Metrics.delay_veh`.

    Leaves out vehicles without an allowed speed: those on a closed lane (0), and those off the
    road, parked or being teleported, for which SUMO reports a number below 0.

    Args:
        speeds_mps: Speeds of all vehicles in the network by id, if they have been read already.
    """
    vehicles = _vehicle_ids() if speeds_mps is None else speeds_mps
    speeds = map(vehicle_speed_mps, vehicles) if speeds_mps is None else speeds_mps.values()
    lost = [
        1 - speed / allowed
        for speed, allowed in zip(speeds, map(_vehicle_allowed_mps, vehicles), strict=True)
        if allowed > 0
    ]
    lost.append(len(_pending_ids()))
    return fsum(lost)


def moment() -> dict[str, str]:
    """The exact present position of everything, and the state of every signal, by name."""
    vehicle, person, light = libsumo.vehicle, libsumo.person, libsumo.trafficlight
    rows = {
        f"vehicle {v}": repr(
            (vehicle.getLaneID(v), vehicle.getLanePosition(v), vehicle.getSpeed(v))
        )
        for v in sorted(vehicle.getIDList())
    }
    rows |= {
        f"person {p}": repr((person.getRoadID(p), person.getLanePosition(p)))
        for p in sorted(person.getIDList())
    }
    return rows | {
        f"signal {t}": light.getRedYellowGreenState(t) for t in sorted(light.getIDList())
    }


def moment_digest() -> str:
    """A digest of :func:`moment`, 16 hex digits: id, lane, position and speed of each vehicle, edge
    and position of each person, and the state of each signal.
    """
    vehicle, person, light = libsumo.vehicle, libsumo.person, libsumo.trafficlight
    vehicles, persons = sorted(vehicle.getIDList()), sorted(person.getIDList())
    lights = light.getIDList()
    seen = (
        *(vehicles, list(map(vehicle.getLaneID, vehicles))),
        *(list(map(vehicle.getLanePosition, vehicles)), list(map(vehicle.getSpeed, vehicles))),
        *(persons, list(map(person.getRoadID, persons))),
        *(list(map(person.getLanePosition, persons)), lights),
        list(map(light.getRedYellowGreenState, lights)),
    )
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


class WayTrace:
    """A digest of every vehicle's path, for comparing two simulations.

    Covers the vehicles that departed and arrived in every second and, every fifth second, each
    vehicle's lane, position, speed and waiting time. Positions and speeds are compared to the last
    bit, so that a vehicle which moved differently for one second in between differs ever after.
    Totals over its whole trip are of no use: SUMO restores distance and time loss with rounding
    errors.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._seconds = 0

    def add(self) -> None:
        """Adds the next second."""
        self._seconds += 1
        simulation = libsumo.simulation
        self._take(simulation.getDepartedIDList(), simulation.getArrivedIDList())
        if self._seconds % _TRACE_EVERY_S == 0:
            self._take(*_ways())

    def hexdigest(self) -> str:
        """64 hex digits over all seconds so far and the present moment."""
        self._take(*_ways())
        return self._digest.hexdigest()

    def _take(self, *rows: object) -> None:
        self._digest.update(repr(rows).encode())


def _ways() -> list[tuple[object, ...]]:
    vehicle, person = libsumo.vehicle, libsumo.person
    rows: list[tuple[object, ...]] = [
        (
            v,
            vehicle.getLaneID(v),
            vehicle.getLanePosition(v),
            vehicle.getSpeed(v),
            vehicle.getAccumulatedWaitingTime(v),
        )
        for v in sorted(vehicle.getIDList())
    ]
    rows += [
        (p, person.getRoadID(p), person.getLanePosition(p), person.getSpeed(p))
        for p in sorted(person.getIDList())
    ]
    return rows


def outgoing_lanes(tls_id: str) -> tuple[str, ...]:
    """The distinct lanes to which its links lead, in link order."""
    links = libsumo.trafficlight.getControlledLinks(tls_id)
    return tuple(dict.fromkeys(link[1] for group in links for link in group))


def _green_lanes(state: str, links: list[list[tuple[str, str, str]]], end: int) -> tuple[str, ...]:
    """The lanes at one end (0 from, 1 to) of the links to which a phase gives green."""
    green = (group for letter, group in zip(state, links, strict=False) if letter in "Gg")
    return tuple(dict.fromkeys(link[end] for group in green for link in group))
