"""Small scenarios, each with something of SUMO that our own two do not have.

Made by program of our own networks, or with ``netconvert`` and ``netgenerate``. Every function
writes one scenario into a folder and returns its configuration.
"""

from collections.abc import Callable
from pathlib import Path

from tests.integration.sim_workers import demand_variants as demand
from tests.integration.sim_workers import signal_variants as signal
from tests.integration.sim_workers import traffic_variants as traffic

__all__ = ["VARIANTS"]


VARIANTS: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        demand.files_in_parts,
        demand.every_kind_of_flow,
        demand.trips_and_rerouting,
        demand.distributions,
        signal.another_program,
        signal.switched_programs,
        signal.actuated,
        signal.delay_based,
        demand.packed,
        demand.late_begin,
        demand.half_second_steps,
        demand.tenth_second_steps,
        traffic.left_hand_traffic,
        traffic.pedestrians,
        traffic.flows_of_persons,
        traffic.buses,
        traffic.parking,
        traffic.detectors_and_zones,
        demand.calibrated,
        signal.joined_signal,
        signal.all_red_and_shared_lanes,
        signal.single_green,
        signal.off_then_on,
        traffic.rail,
        traffic.sublanes,
        traffic.slow_lane_changes,
        demand.distributions_beside_detectors,
        demand.weights,
        demand.scaled,
    )
}
