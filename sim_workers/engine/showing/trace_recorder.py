"""Recording where everything is, second by second, during one rollout.

Only reads: a rollout that is watched proceeds exactly as it does unwatched, and the gateway
compares the two.
"""

from collections.abc import Iterator

import libsumo

from shared.wire.viewing.traces import Trace
from sim_workers.scenarios.geometry import SURROUNDINGS_M, box_around, is_within

__all__ = ["MAX_SHOWN", "TraceRecorder"]

MAX_SHOWN = 1000
"""The most vehicles in one frame."""


class TraceRecorder:
    """Records frames of the surroundings of some traffic lights.

    Args:
        tls_ids: The traffic lights, at least one.
    """

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        ends = [point for tls_id in tls_ids for point in _stop_points(tls_id)]
        self._time_s = float(libsumo.simulation.getTime())
        self._box = box_around(ends or [(0.0, 0.0)], SURROUNDINGS_M)
        self._places: dict[str, int] = {}
        self._lengths_dm: list[int] = []
        self._frames: list[tuple[int, ...]] = []
        self._omitted_veh = 0
        self._shown: dict[str, list[str]] = {
            tls_id: []
            for tls_id in sorted(libsumo.trafficlight.getIDList())
            if any(is_within(self._box, *point) for point in _stop_points(tls_id))
        }
        self.add()

    def add(self) -> None:
        """Records the present second."""
        frame: list[int] = []
        omitted_veh = 0
        for vehicle in libsumo.vehicle.getIDList():
            x, y = libsumo.vehicle.getPosition(vehicle)
            if not is_within(self._box, x, y):  # nor is one that is off the road
                continue
            if len(frame) >= 5 * MAX_SHOWN:
                omitted_veh += 1
                continue
            angle = round(libsumo.vehicle.getAngle(vehicle)) % 360
            speed_dm = round(libsumo.vehicle.getSpeed(vehicle) * 10)
            frame += (self._place_of(vehicle), round(x * 10), round(y * 10), angle, speed_dm)
        self._frames.append(tuple(frame))
        self._omitted_veh = max(self._omitted_veh, omitted_veh)
        for tls_id, states in self._shown.items():
            states.append(libsumo.trafficlight.getRedYellowGreenState(tls_id))

    def trace(self, queue_veh: tuple[int, ...]) -> Trace:
        """All recorded frames.

        Args:
            queue_veh: The queue after each second.
        """
        return Trace(
            time_s=self._time_s,
            box=self._box,
            vehicles=tuple(self._places),
            lengths_dm=tuple(self._lengths_dm),
            frames=tuple(self._frames),
            omitted_veh=self._omitted_veh,
            signals={tls_id: tuple(states) for tls_id, states in self._shown.items()},
            queue_veh=queue_veh,
        )

    def _place_of(self, vehicle: str) -> int:
        place = self._places.setdefault(vehicle, len(self._places))
        if place == len(self._lengths_dm):
            self._lengths_dm.append(round(libsumo.vehicle.getLength(vehicle) * 10))
        return place


def _stop_points(tls_id: str) -> Iterator[tuple[float, float]]:
    """The ends of the lanes that a traffic light controls."""
    for lane in dict.fromkeys(libsumo.trafficlight.getControlledLanes(tls_id)):
        yield libsumo.lane.getShape(lane)[-1]
