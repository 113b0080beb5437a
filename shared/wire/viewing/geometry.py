"""The message of ``GET /v1/scenarios/{scenario_id}/geometry``: a network as seen from above.

Coordinates are the network's own, in metres, rounded to centimetres: x to the east, y to the north.
Points stand flat, ``[x0, y0, x1, y1, …]``.
"""

from typing import Literal

from shared.model import WireModel

__all__ = [
    "Box",
    "Geometry",
    "JunctionShape",
    "LaneKind",
    "LaneShape",
    "SignalLink",
    "SignalShape",
    "StopLine",
]

Box = tuple[float, float, float, float]
"""West, south, east, north."""
LaneKind = Literal["road", "inside", "rail", "bicycle", "foot"]
"""Who drives or walks there; ``inside``: a lane within a junction."""


class LaneShape(WireModel):
    """A lane's middle line, in the direction of travel."""

    id: str
    kind: LaneKind
    width_m: float
    points: tuple[float, ...]


class JunctionShape(WireModel):
    """The outline of a junction."""

    id: str
    points: tuple[float, ...]


class SignalLink(WireModel):
    """A way across a junction that one letter of a signal's state is for."""

    index: int
    """The letter's place in the state."""
    from_lane: str
    to_lane: str
    via_lane: str | None = None


class SignalShape(WireModel):
    """A traffic light and its links, in the order of their letters."""

    tls_id: str
    links: tuple[SignalLink, ...]


class StopLine(WireModel):
    """The end of a lane before a traffic light, across the lane."""

    lane: str
    tls_id: str
    ends: tuple[float, float, float, float]
    """From the left edge to the right one, as drivers see it."""
    links: tuple[int, ...]
    """The letters of the signal's state that this lane's drivers heed."""


class Geometry(WireModel):
    """A network, or the surroundings of one traffic light."""

    scenario_id: str
    tls_id: str | None
    """The traffic light whose surroundings they are; null: everything."""
    box: Box
    """What is cut out: a lane or junction is there, whole, if it may pass through here."""
    lanes: tuple[LaneShape, ...]
    junctions: tuple[JunctionShape, ...]
    signals: tuple[SignalShape, ...]
    stop_lines: tuple[StopLine, ...]
