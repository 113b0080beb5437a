"""Where traffic lights and lanes are, of the simulation in this process. Only reads."""

from collections.abc import Iterator

import libsumo

from shared.wire.viewing.geometry import Box
from sim_workers.scenarios.geometry import is_within

__all__ = ["lanes_within", "lights_within", "network_box", "stop_points"]

_INSIDE = ":"
"""How ids of lanes within junctions begin."""


def stop_points(tls_id: str) -> Iterator[tuple[float, float]]:
    """The ends of the lanes that a traffic light controls."""
    for lane in dict.fromkeys(libsumo.trafficlight.getControlledLanes(tls_id)):
        yield libsumo.lane.getShape(lane)[-1]


def lights_within(box: Box) -> list[str]:
    """The traffic lights that have a stop line in a box, sorted."""
    return [
        tls_id
        for tls_id in sorted(libsumo.trafficlight.getIDList())
        if any(is_within(box, *point) for point in stop_points(tls_id))
    ]


def lanes_within(box: Box) -> tuple[str, ...]:
    """The lanes between junctions that end in a box."""
    return tuple(
        lane
        for lane in libsumo.lane.getIDList()
        if not lane.startswith(_INSIDE) and is_within(box, *libsumo.lane.getShape(lane)[-1])
    )


def network_box() -> list[tuple[float, float]]:
    """Two opposite corners of the whole network."""
    return list(libsumo.simulation.getNetBoundary())
