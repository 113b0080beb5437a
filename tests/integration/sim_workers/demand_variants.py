"""Small scenarios with demand, times and inputs that our own two do not have."""

import gzip
from pathlib import Path

from tests.integration.sim_workers.variant_parts import (
    CROSSING,
    END_S,
    GRID,
    WAYS,
    config,
    flow,
    flows,
    grid_trips,
    trips,
    vehicles,
    with_demand,
    write,
)

__all__ = [
    "calibrated",
    "distributions",
    "distributions_beside_detectors",
    "every_kind_of_flow",
    "files_in_parts",
    "half_second_steps",
    "late_begin",
    "packed",
    "scaled",
    "tenth_second_steps",
    "trips_and_rerouting",
    "weights",
]


def files_in_parts(folder: Path) -> Path:
    """Types in an additional file, and three demand files: vehicles, trips, and flows by routes."""
    write(folder / "types.add.xml", "additional", '<vType id="slow" maxSpeed="9" sigma="0.7"/>')
    write(folder / "vehicles.rou.xml", "routes", *vehicles("v", every_s=3, type="slow"))
    write(folder / "trips.trips.xml", "routes", *trips("t", every_s=4))
    write(folder / "flows.rou.xml", "routes", *flows('probability="0.05"'))
    demand = "vehicles.rou.xml,trips.trips.xml,flows.rou.xml"
    return config(folder, CROSSING, demand, "types.add.xml")


def every_kind_of_flow(folder: Path) -> Path:
    """Flows by probability, by Poisson, by period, by number, and of vehicles an hour."""
    rates = (
        'probability="0.06"',
        'period="exp(0.06)"',
        'period="15"',
        'number="30"',
        'vehsPerHour="200"',
    )
    flows = [flow(i, leg, way, rates[i % 5]) for i, (leg, way) in enumerate(WAYS)]
    write(folder / "flows.rou.xml", "routes", *flows)
    return config(folder, CROSSING, "flows.rou.xml")


def trips_and_rerouting(folder: Path) -> Path:
    """Trips that are routed at departure, half of them again and again on their way."""
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(
        folder,
        GRID,
        "trips.rou.xml",
        **{
            "device.rerouting.probability": "0.5",
            "device.rerouting.period": "30",
            "device.rerouting.adaptation-interval": "5",
            "weights.random-factor": "1.5",
        },
    )


def distributions(folder: Path) -> Path:
    """Types and routes that each vehicle draws."""
    types = (
        '<vTypeDistribution id="mix"><vType id="car" probability="0.7" speedFactor="norm(1,0.2)"/>'
        '<vType id="lorry" vClass="truck" probability="0.3" length="12"/></vTypeDistribution>'
    )
    distributions = [
        f'<routeDistribution id="from_{leg}">'
        + "".join(
            f'<route id="{leg}{way}" edges="{leg}_in {way}_out" probability="0.3"/>'
            for start, way in WAYS
            if start == leg
        )
        + "</routeDistribution>"
        for leg in "nesw"
    ]
    vehicles = [
        f'<vehicle id="v{i}" type="mix" route="from_{"nesw"[i % 4]}" depart="{i * 2}" '
        'departLane="random" departPos="random" departSpeed="random"/>'
        for i in range(END_S // 2)
    ]
    write(folder / "demand.rou.xml", "routes", types, *distributions, *vehicles)
    return config(folder, CROSSING, "demand.rou.xml")


def packed(folder: Path) -> Path:
    """Every input gzipped."""
    network, demand = folder / "town.net.xml.gz", folder / "town.rou.xml.gz"
    network.write_bytes(gzip.compress(CROSSING.read_bytes()))
    plain = folder / "plain.rou.xml"
    write(plain, "routes", *vehicles("v", every_s=2))
    demand.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return config(folder, network, demand.name)


def late_begin(folder: Path) -> Path:
    """A morning that begins at seven, in hours and minutes."""
    begin_s = 7 * 3600
    write(folder / "demand.rou.xml", "routes", *vehicles("v", every_s=2, begin_s=begin_s))
    return config(folder, CROSSING, "demand.rou.xml", begin="7:00:00", end=str(begin_s + END_S))


def half_second_steps(folder: Path) -> Path:
    """Two steps per second, moved ballistically."""
    return with_demand(folder, CROSSING, **{"step-length": "0.5", "step-method.ballistic": "true"})


def tenth_second_steps(folder: Path) -> Path:
    """Ten steps per second, drivers who act once per second."""
    return with_demand(folder, CROSSING, **{"step-length": ".1", "default.action-step-length": "1"})


def calibrated(folder: Path) -> Path:
    """A calibrator that adds and removes vehicles to reach a flow."""
    calibrator = (
        '<route id="through" edges="n_in s_out"/>'
        f'<calibrator id="k" edge="n_in" pos="10" period="30" output="k.xml">'
        f'<flow begin="0" end="{END_S}" route="through" vehsPerHour="500" speed="12"/>'
        "</calibrator>"
    )
    write(folder / "calibrator.add.xml", "additional", calibrator)
    return with_demand(folder, CROSSING, "calibrator.add.xml")


def distributions_beside_detectors(folder: Path) -> Path:
    """Routes to draw from stand in an additional file, as do the flows that draw them."""
    routes = "".join(f'<route edges="{leg}_in {way}_out"/>' for leg, way in WAYS)
    distribution = f'<routeDistribution id="all">{routes}</routeDistribution>'
    flow = f'<flow id="f" route="all" begin="0" end="{END_S}" period="2" departSpeed="10"/>'
    detector = '<e1Detector id="e1" lane="n_in_0" pos="50" period="60" file="e1.xml"/>'
    write(folder / "all.add.xml", "additional", detector, distribution, flow)
    return config(folder, CROSSING, "", "all.add.xml", **{"step-length": "0.5"})


def weights(folder: Path) -> Path:
    """Trips are routed by travel times of a file."""
    edges = "".join(
        f'<edge id="{edge}" traveltime="{time_s}"/>'
        for edge, time_s in (("A0B0", 500), ("B0A0", 4))
    )
    interval = f'<interval begin="0" end="{END_S}">{edges}</interval>'
    write(folder / "times.xml", "meandata", interval)
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(
        folder,
        GRID,
        "trips.rou.xml",
        **{
            "weight-files": "times.xml",
            "device.rerouting.probability": "1",
            "device.rerouting.init-with-loaded-weights": "true",
        },
    )


def scaled(folder: Path) -> Path:
    """Demand that SUMO multiplies and shifts at random."""
    return with_demand(folder, CROSSING, scale="1.3", **{"random-depart-offset": "5"})
