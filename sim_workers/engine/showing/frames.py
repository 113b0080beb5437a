"""Where the vehicles in a part of the network are, second by second. Only reads."""

import libsumo

from shared.wire.viewing.geometry import Box
from sim_workers.scenarios.geometry import is_within

__all__ = ["MAX_SHOWN", "VehicleFrames"]

MAX_SHOWN = 1000
"""The most vehicles in one frame."""


class VehicleFrames:
    """Records the vehicles in a box.

    Args:
        box: West, south, east, north.
    """

    def __init__(self, box: Box) -> None:
        self._box = box
        self._places: dict[str, int] = {}
        self._lengths_dm: list[int] = []
        self._frames: list[tuple[int, ...]] = []
        self.omitted_veh = 0
        """In the second with most of them, vehicles that found no room in the frame."""

    @property
    def vehicles(self) -> tuple[str, ...]:
        """The ids of all that were seen, in the order in which they were."""
        return tuple(self._places)

    @property
    def lengths_dm(self) -> tuple[int, ...]:
        """Their lengths, in decimetres."""
        return tuple(self._lengths_dm)

    @property
    def frames(self) -> tuple[tuple[int, ...], ...]:
        """As in :attr:`shared.wire.viewing.traces.Trace.frames`."""
        return tuple(self._frames)

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
        self.omitted_veh = max(self.omitted_veh, omitted_veh)

    def _place_of(self, vehicle: str) -> int:
        place = self._places.setdefault(vehicle, len(self._places))
        if place == len(self._lengths_dm):
            self._lengths_dm.append(round(libsumo.vehicle.getLength(vehicle) * 10))
        return place
