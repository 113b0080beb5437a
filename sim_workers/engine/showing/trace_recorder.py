"""Recording where everything is, second by second, during one rollout.

Only reads: a rollout that is watched proceeds exactly as it does unwatched, and the gateway
compares the two.
"""

import libsumo

from shared.wire.viewing.traces import Trace
from sim_workers.engine.showing.frames import VehicleFrames
from sim_workers.engine.showing.places import lights_within, stop_points
from sim_workers.scenarios.geometry import SURROUNDINGS_M, box_around

__all__ = ["TraceRecorder"]


class TraceRecorder:
    """Records frames of the surroundings of some traffic lights.

    Args:
        tls_ids: The traffic lights, at least one.
    """

    def __init__(self, tls_ids: tuple[str, ...]) -> None:
        ends = [point for tls_id in tls_ids for point in stop_points(tls_id)]
        self._time_s = float(libsumo.simulation.getTime())
        self._box = box_around(ends or [(0.0, 0.0)], SURROUNDINGS_M)
        self._seen = VehicleFrames(self._box)
        self._shown: dict[str, list[str]] = {tls_id: [] for tls_id in lights_within(self._box)}
        self.add()

    def add(self) -> None:
        """Records the present second."""
        self._seen.add()
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
            vehicles=self._seen.vehicles,
            lengths_dm=self._seen.lengths_dm,
            frames=self._seen.frames,
            omitted_veh=self._seen.omitted_veh,
            signals={tls_id: tuple(states) for tls_id, states in self._shown.items()},
            queue_veh=queue_veh,
        )
