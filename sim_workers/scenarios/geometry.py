"""A network seen from above, read from its file.

This module reads networks and cuts out parts of them. It does not use SUMO, so that the gateway,
which holds no simulation, can draw a network before any worker has opened it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from shared.errors import DatasetError, InvalidRequest, UnknownSignal
from shared.wire.viewing.geometry import (
    Box,
    Geometry,
    JunctionShape,
    LaneKind,
    LaneShape,
    SignalLink,
    SignalShape,
    StopLine,
)
from sim_workers.scenarios.config import read_configuration
from sim_workers.scenarios.files import unpacked

__all__ = ["MAX_LANES", "SURROUNDINGS_M", "Network", "box_around", "is_within", "read_network"]

SURROUNDINGS_M = 250.0
"""How far the surroundings of a traffic light extend from its stop lines, in metres."""
MAX_LANES = 30_000
"""Maximum number of lanes in a response; a city has more."""
_MAX_BYTES = 256 << 20
_WIDTH_M = 3.2
"""SUMO's default lane width."""
_RAIL = frozenset({"rail", "rail_urban", "rail_electric", "rail_fast", "tram", "subway"})
_WALKED = frozenset({"crossing", "walkingarea"})


def box_around(points: Iterable[tuple[float, float]], margin_m: float) -> Box:
    """The box around some points, with a margin in metres on each side.

    >>> box_around([(0, 10), (20, 0)], 5)
    (-5, -5, 25, 15)
    """
    xs, ys = zip(*points, strict=True)
    west, south, east, north = min(xs), min(ys), max(xs), max(ys)
    return (
        round(west - margin_m, 2),
        round(south - margin_m, 2),
        round(east + margin_m, 2),
        round(north + margin_m, 2),
    )


def is_within(box: Box, x: float, y: float) -> bool:
    """Whether a point lies in a box.

    >>> is_within((0, 0, 10, 10), 10, 3), is_within((0, 0, 10, 10), 11, 3)
    (True, False)
    """
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


@dataclass
class Network:
    """Everything in a network that can be drawn."""

    lanes: dict[str, LaneShape] = field(default_factory=dict)
    junctions: list[JunctionShape] = field(default_factory=list)
    links: dict[str, list[SignalLink]] = field(default_factory=dict)
    """Links by traffic light."""

    def whole(self, scenario_id: str) -> Geometry:
        """The whole network.

        Raises:
            InvalidRequest: ``too_large``: it has too many lanes for one response.
        """
        if len(self.lanes) > MAX_LANES:
            raise InvalidRequest(
                f"the network has {len(self.lanes)} lanes, more than {MAX_LANES}: ask for the "
                "surroundings of one traffic light with tls_id",
                "too_large",
            )
        points = [point for lane in self.lanes.values() for point in _pairs(lane.points)]
        box = box_around(points or [(0.0, 0.0)], 0.0)
        return self._cut(scenario_id, None, box)

    def around(self, scenario_id: str, tls_id: str, margin_m: float = SURROUNDINGS_M) -> Geometry:
        """The surroundings of a traffic light.

        Args:
            scenario_id: The scenario of the network.
            tls_id: The traffic light.
            margin_m: How far they extend from its stop lines, in metres.

        Raises:
            UnknownSignal: The network has no such traffic light.
        """
        if tls_id not in self.links:
            raise UnknownSignal(f"the network has no traffic light {tls_id[:120]!r}")
        lanes = [self.lanes.get(link.from_lane) for link in self.links[tls_id]]
        ends = [(lane.points[-2], lane.points[-1]) for lane in lanes if lane is not None]
        return self._cut(scenario_id, tls_id, box_around(ends or [(0.0, 0.0)], margin_m))

    def _cut(self, scenario_id: str, tls_id: str | None, box: Box) -> Geometry:
        lanes = {
            lane.id: lane for lane in self.lanes.values() if tls_id is None or _meets(box, lane)
        }
        signals = [
            SignalShape(tls_id=tls, links=tuple(sorted(links, key=lambda link: link.index)))
            for tls, links in sorted(self.links.items())
            if any(link.from_lane in lanes for link in links)
        ]
        return Geometry(
            scenario_id=scenario_id,
            tls_id=tls_id,
            box=box,
            lanes=tuple(lanes.values()),
            junctions=tuple(one for one in self.junctions if tls_id is None or _meets(box, one)),
            signals=tuple(signals),
            stop_lines=tuple(line for one in signals for line in _stop_lines(one, lanes)),
        )


def read_network(folder: Path, config_name: str) -> Network:
    """The network of a scenario.

    Args:
        folder: The folder of its files.
        config_name: The configuration among them.

    Raises:
        ScenarioError: The configuration is unusable.
        DatasetError: The network's file cannot be read.
    """
    name = read_configuration(folder / config_name).options["net-file"]
    path = folder / name
    try:
        content = unpacked(path, path.read_bytes())
    except OSError as exc:
        raise DatasetError(f"cannot read {path}: {exc.strerror}") from exc
    if len(content) > _MAX_BYTES:
        raise InvalidRequest(f"the network has more than {_MAX_BYTES} bytes", "too_large")
    return _Reader(name).read(content)


class _Reader:
    """One pass over a network's file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._network = Network()
        self._function = ""

    def read(self, content: bytes) -> Network:
        """Everything that can be drawn.

        Raises:
            DatasetError: The file is not a network.
        """
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as exc:
            raise DatasetError(f"{self._name} is not a network: {exc}", "bad_network") from exc
        return self._network

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "edge":
            self._function = attributes.get("function", "")
        elif tag == "lane" and "shape" in attributes:
            self._add_lane(attributes)
        elif tag == "junction" and attributes.get("shape") and attributes["id"][:1] != ":":
            points = _points(attributes["shape"])
            self._network.junctions.append(JunctionShape(id=attributes["id"], points=points))
        elif tag == "connection" and "tl" in attributes and "linkIndex" in attributes:
            self._add_link(attributes)

    def _add_lane(self, attributes: Mapping[str, str]) -> None:
        points = _points(attributes["shape"])
        if len(points) >= 4:
            self._network.lanes[attributes["id"]] = LaneShape(
                id=attributes["id"],
                kind=_kind(self._function, attributes),
                width_m=round(float(attributes.get("width", _WIDTH_M)), 2),
                points=points,
            )

    def _add_link(self, attributes: Mapping[str, str]) -> None:
        link = SignalLink(
            index=int(attributes["linkIndex"]),
            from_lane=f"{attributes['from']}_{attributes['fromLane']}",
            to_lane=f"{attributes['to']}_{attributes['toLane']}",
            via_lane=attributes.get("via"),
        )
        self._network.links.setdefault(attributes["tl"], []).append(link)

    def _refuse(self, *_: object) -> None:
        raise DatasetError(f"{self._name} declares a document type", "bad_network")


def _kind(function: str, attributes: Mapping[str, str]) -> LaneKind:
    """The kind of traffic on a lane."""
    allowed = frozenset(attributes.get("allow", "").split())
    if function in _WALKED or allowed == {"pedestrian"}:
        return "foot"
    if function == "internal":
        return "inside"
    if allowed == {"bicycle"}:
        return "bicycle"
    return "rail" if allowed and allowed <= _RAIL else "road"


def _points(shape: str) -> tuple[float, ...]:
    """The points of ``"1.00,2.00 3.00,4.00,0.50"`` as a flat tuple, without heights.

    Raises:
        ValueError: Something in it is not a finite number.
    """
    numbers = [round(float(c), 2) for point in shape.split() for c in point.split(",")[:2]]
    if not all(map(math.isfinite, numbers)) or len(numbers) % 2:
        raise ValueError(f"a shape contains something other than numbers: {shape[:80]!r}")
    return tuple(numbers)


def _pairs(points: Sequence[float]) -> Iterator[tuple[float, float]]:
    return zip(points[::2], points[1::2], strict=True)


def _meets(box: Box, shape: LaneShape | JunctionShape) -> bool:
    """Whether part of a shape may lie in a box: long lanes may have no point for a kilometre."""
    points = list(_pairs(shape.points))
    return any(
        min(x, other_x) <= box[2]
        and max(x, other_x) >= box[0]
        and min(y, other_y) <= box[3]
        and max(y, other_y) >= box[1]
        for (x, y), (other_x, other_y) in zip(points, points[1:] or points, strict=False)
    )


def _stop_lines(signal: SignalShape, lanes: Mapping[str, LaneShape]) -> Iterator[StopLine]:
    """A stop line for each lane from which a link of the signal starts."""
    indices: dict[str, list[int]] = {}
    for link in signal.links:
        indices.setdefault(link.from_lane, []).append(link.index)
    for lane_id, links in indices.items():
        lane = lanes.get(lane_id)
        if lane is not None and lane.kind != "foot":
            ends = _across(lane)
            yield StopLine(lane=lane_id, tls_id=signal.tls_id, ends=ends, links=tuple(links))


def _across(lane: LaneShape) -> tuple[float, float, float, float]:
    """The line across the end of a lane, from its left edge to its right edge."""
    end_x, end_y = lane.points[-2:]
    before = next(
        (point for point in reversed(list(_pairs(lane.points))) if point != (end_x, end_y)),
        (end_x - 1, end_y),
    )
    length = math.hypot(end_x - before[0], end_y - before[1])
    right_x = (end_y - before[1]) / length * lane.width_m / 2
    right_y = -(end_x - before[0]) / length * lane.width_m / 2
    ends = (end_x - right_x, end_y - right_y, end_x + right_x, end_y + right_y)
    return (round(ends[0], 2), round(ends[1], 2), round(ends[2], 2), round(ends[3], 2))
