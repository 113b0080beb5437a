"""The figures of a finished episode, from SUMO's own tripinfo, summary and statistic outputs.

All functions are pure. The formulas are in ``docs/closed-loop.md``. ``delay_s`` is RESCO's
(``utils/readXML.py`` of
https://github.com/Pi-Star-Lab/RESCO, with what its issue 24 says of vehicles that never departed).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import fsum
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml
from defusedxml.common import DefusedXmlException

from shared.errors import RolloutError
from shared.wire.episodes import EpisodeFigures

__all__ = [
    "Counted",
    "Outputs",
    "Summary",
    "Trip",
    "TripFigures",
    "figures_of",
    "incidents",
    "is_gridlocked",
    "seconds_of",
    "trip_elements",
    "trips_of",
]

_TRIP = re.compile(rb"<tripinfo\s(?:[^>\"]|\"[^\"]*\")*?(?:/>|>.*?</tripinfo>)", re.DOTALL)
_GRIDLOCK_S = 600
_GRIDLOCK_SHARE = 0.1


@dataclass(frozen=True)
class Outputs:
    """SUMO's own outputs of an episode, as they are."""

    tripinfo: bytes
    summary: bytes
    statistic: bytes


@dataclass(frozen=True)
class Counted:
    """What was counted while an episode ran."""

    queue_sum_veh: int
    """Sum of standing vehicles on incoming lanes, over signals and seconds."""
    seconds: int
    signals: int
    switches: int
    decisions: Mapping[tuple[str, bool], int]
    """Number of decisions, by kind and whether they were valid."""


@dataclass(frozen=True)
class Trip:
    """A vehicle's trip. Times in seconds of simulated time."""

    vehicle_id: str
    depart_s: float | None
    """When it was inserted; None if never."""
    depart_delay_s: float
    """From the planned departure to the insertion, or to the end."""
    arrival_s: float | None
    """When it arrived; None if it had not arrived by the end."""
    duration_s: float
    """From the insertion to the arrival, or to the end."""
    time_loss_s: float
    """Time lost by driving slower than possible; SUMO's ``timeLoss``."""
    waiting_s: float
    """Time spent standing; SUMO's ``waitingTime``."""
    route_m: float


@dataclass(frozen=True)
class TripFigures:
    """Figures computed from trips."""

    vehicles: int
    delay_s: float | None
    travel_time_s: float | None
    travel_time_all_s: float | None
    wait_s: float | None
    throughput_veh: int
    backlog_veh: int

    @classmethod
    def of(cls, trips: Sequence[Trip]) -> "TripFigures":
        """Computes the figures of trips.

        A vehicle that never departed has lost the time since its planned departure. One that was to
        depart exactly at the end was not due yet, and :func:`trips_of` leaves it out.
        """
        departed = [trip for trip in trips if trip.depart_s is not None]
        arrived = [trip for trip in trips if trip.arrival_s is not None]
        return cls(
            vehicles=len(trips),
            delay_s=_mean([trip.time_loss_s + trip.depart_delay_s for trip in trips]),
            travel_time_s=_mean([trip.duration_s for trip in arrived]),
            travel_time_all_s=_mean([trip.depart_delay_s + trip.duration_s for trip in trips]),
            wait_s=_mean([trip.waiting_s for trip in departed]),
            throughput_veh=len(arrived),
            backlog_veh=len(trips) - len(departed),
        )


@dataclass(frozen=True)
class Summary:
    """A second of the network."""

    running: int
    halting: int
    arrived: int
    """Vehicles that arrived since the begin."""


def figures_of(outputs: Outputs, counted: Counted) -> EpisodeFigures:
    """The figures of a finished episode.

    Raises:
        RolloutError: ``bad_output``: SUMO's outputs are incomplete.
    """
    trips = TripFigures.of(trips_of(outputs.tripinfo))
    teleports, collisions, stops = incidents(outputs.statistic)
    steps = list(seconds_of(outputs.summary))
    samples = counted.seconds * counted.signals
    decisions: dict[str, dict[Literal["valid", "invalid"], int]] = {}
    for (kind, is_valid), count in sorted(counted.decisions.items()):
        if count:
            of_kind = decisions.setdefault(kind, {"valid": 0, "invalid": 0})
            of_kind["valid" if is_valid else "invalid"] += count
    return EpisodeFigures(
        **asdict(trips),
        queue_veh=counted.queue_sum_veh / samples if samples else None,
        teleports=teleports,
        collisions=collisions,
        emergency_stops=stops,
        switches=counted.switches,
        gridlocked=is_gridlocked(steps, max(1, round(len(steps) / max(1, counted.seconds)))),
        decisions=decisions,
    )


def trip_elements(tripinfo: bytes) -> tuple[bytes, ...]:
    """The ``<tripinfo>`` elements, byte for byte as SUMO wrote them."""
    return tuple(_TRIP.findall(tripinfo))


def trips_of(tripinfo: bytes) -> list[Trip]:
    """The trips of all vehicles that departed, or should have before the end.

    Raises:
        RolloutError: ``bad_output``: SUMO's output is incomplete.
    """
    found = []
    for element in _parsed(tripinfo).iter("tripinfo"):
        known: Mapping[str, str] = element.attrib
        depart_s, arrival_s = float(known["depart"]), float(known["arrival"])
        delay_s = float(known["departDelay"])
        if depart_s < 0 and delay_s <= 0:  # planned for exactly the end
            continue
        found.append(
            Trip(
                vehicle_id=known["id"],
                depart_s=None if depart_s < 0 else depart_s,
                depart_delay_s=delay_s,
                arrival_s=None if arrival_s < 0 else arrival_s,
                duration_s=float(known["duration"]),
                time_loss_s=float(known["timeLoss"]),
                waiting_s=float(known["waitingTime"]),
                route_m=float(known["routeLength"]),
            )
        )
    return found


def seconds_of(summary: bytes) -> Iterator[Summary]:
    """The steps of the network.

    Raises:
        RolloutError: ``bad_output``.
    """
    for element in _parsed(summary).iter("step"):
        known: Mapping[str, str] = element.attrib
        yield Summary(int(known["running"]), int(known["halting"]), int(known["arrived"]))


def is_gridlocked(steps: Iterable[Summary], per_s: int = 1) -> bool:
    """Whether for 600 s in a row no vehicle arrived while more than 10 % were standing.

    Args:
        steps: The network after each step of the simulation.
        per_s: Steps in a second.
    """
    stuck = arrived = 0
    for step in steps:
        is_stuck = step.arrived == arrived and step.halting > _GRIDLOCK_SHARE * step.running
        stuck = stuck + 1 if is_stuck else 0
        if stuck >= _GRIDLOCK_S * per_s:
            return True
        arrived = step.arrived
    return False


def incidents(statistic: bytes) -> tuple[int, int, int]:
    """Teleports, collisions and emergency stops.

    Raises:
        RolloutError: ``bad_output``.
    """
    root = _parsed(statistic)
    teleports, safety = root.find("teleports"), root.find("safety")
    if teleports is None or safety is None:
        raise RolloutError("SUMO's statistic output is incomplete", "bad_output")
    return (
        int(teleports.attrib["total"]),
        int(safety.attrib["collisions"]),
        int(safety.attrib["emergencyStops"]),
    )


def _parsed(output: bytes) -> Element:
    try:
        root: Element = SafeXml.fromstring(output)
    except (ParseError, DefusedXmlException) as exc:
        raise RolloutError(f"SUMO's output is incomplete: {exc}", "bad_output") from exc
    return root


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None
