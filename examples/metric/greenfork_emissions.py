"""Two metrics, complete: the CO2 of all vehicles, and how often vehicles stop at the signals."""

from collections.abc import Sequence
from math import fsum

from sim_workers.engine.custom import Second

__all__ = ["Stops", "co2_mg"]

_HALTING_SPEED_MPS = 0.1


def co2_mg(second: Second) -> float:
    """What the vehicles in the network emit in this second, mg; the rollout's value is the mean."""
    vehicle = second.sumo.vehicle
    return fsum(vehicle.getCO2Emission(one) for one in vehicle.getIDList())


class Stops:
    """Vehicles that come to a stop on the incoming lanes; the rollout's value is their number."""

    def __init__(self) -> None:
        self._standing: set[str] | None = None

    def sample(self, second: Second) -> float:
        """How many stand in this second and did not stand in the one before."""
        lane, vehicle = second.sumo.lane, second.sumo.vehicle
        here = [one for name in second.incoming_lanes for one in lane.getLastStepVehicleIDs(name)]
        standing = {one for one in here if vehicle.getSpeed(one) < _HALTING_SPEED_MPS}
        before, self._standing = self._standing, standing
        return 0 if before is None else len(standing - before)

    def total(self, samples: Sequence[float]) -> float:
        """All of them together."""
        return sum(samples)
