"""Recording a part of an episode while it is repeated. Only reads: it goes on as it did unwatched.

The gateway compares the answers of the repeated steps with those on record.
"""

import libsumo

from shared.wire.viewing.episode_traces import EpisodeFrames
from sim_workers.engine.episodes.messages import Watch
from sim_workers.engine.readings import lane_halting, link_states
from sim_workers.engine.showing.frames import VehicleFrames
from sim_workers.engine.showing.places import (
    lanes_within,
    lights_within,
    network_box,
    stop_points,
)
from sim_workers.scenarios.geometry import SURROUNDINGS_M, box_around

__all__ = ["EpisodeRecorder"]

_TOLERANCE_S = 1e-6


class EpisodeRecorder:
    """Records what there is to see from one moment to another.

    Args:
        watch: When, and where.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        corners = network_box() if watch.tls_id is None else list(stop_points(watch.tls_id))
        self._box = box_around(corners or [(0.0, 0.0)], SURROUNDINGS_M)
        self._seen = VehicleFrames(self._box)
        self._lights: dict[str, list[str]] = {tls_id: [] for tls_id in lights_within(self._box)}
        self._lanes = lanes_within(self._box)
        self._places: dict[str, int] = {}
        self._queues: list[tuple[int, ...]] = []
        self._times_s: list[float] = []
        self.add()

    @property
    def is_done(self) -> bool:
        """Whether the end of the span is reached."""
        return bool(libsumo.simulation.getTime() >= self._watch.to_s - _TOLERANCE_S)

    def add(self) -> None:
        """Records the present second, if it is one of the span."""
        time_s = float(libsumo.simulation.getTime())
        watch = self._watch
        if not watch.from_s - _TOLERANCE_S <= time_s <= watch.to_s + _TOLERANCE_S:
            return
        self._times_s.append(time_s)
        self._seen.add()
        for tls_id, states in self._lights.items():
            states.append(link_states(tls_id))
        queues: list[int] = []
        for lane in self._lanes:
            if halting := lane_halting(lane):
                queues += (self._places.setdefault(lane, len(self._places)), halting)
        self._queues.append(tuple(queues))

    def frames(self) -> EpisodeFrames:
        """All that was recorded."""
        return EpisodeFrames(
            times_s=tuple(self._times_s),
            box=self._box,
            vehicles=self._seen.vehicles,
            lengths_dm=self._seen.lengths_dm,
            frames=self._seen.frames,
            omitted_veh=self._seen.omitted_veh,
            signals={tls_id: tuple(states) for tls_id, states in self._lights.items()},
            lanes=tuple(self._places),
            queues=tuple(self._queues),
        )
