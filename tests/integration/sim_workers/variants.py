"""Small scenarios, each with something of SUMO that our own two do not have.

Made by program of our own networks, or with ``netconvert`` and ``netgenerate``. Every function
writes one scenario into a folder and returns its configuration.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

from tests.integration.sim_workers.variant_parts import (
    CROSSING,
    END_S,
    GRID,
    GRID_ENDS,
    WAYS,
    config,
    depart_s,
    flow,
    flows,
    grid_trips,
    netconvert,
    netgenerate,
    signal_program,
    trips,
    vehicles,
    with_demand,
    write,
)

__all__ = ["VARIANTS"]


def _files_in_parts(folder: Path) -> Path:
    """Types in an additional file, and three demand files: vehicles, trips, and flows by routes."""
    write(folder / "types.add.xml", "additional", '<vType id="slow" maxSpeed="9" sigma="0.7"/>')
    write(folder / "vehicles.rou.xml", "routes", *vehicles("v", every_s=3, type="slow"))
    write(folder / "trips.trips.xml", "routes", *trips("t", every_s=4))
    write(folder / "flows.rou.xml", "routes", *flows('probability="0.05"'))
    demand = "vehicles.rou.xml,trips.trips.xml,flows.rou.xml"
    return config(folder, CROSSING, demand, "types.add.xml")


def _every_kind_of_flow(folder: Path) -> Path:
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


def _trips_and_rerouting(folder: Path) -> Path:
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


def _distributions(folder: Path) -> Path:
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


def _another_program(folder: Path) -> Path:
    """An additional file brings a program that takes the place of the network's."""
    program = signal_program(
        "other", [(20, "GGrrrrGGrrrr"), (4, "yyrrrryyrrrr"), (25, "rrGGGGrrGGGG")]
    )
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def _switched_programs(folder: Path) -> Path:
    """A WAUT switches between two programs in the middle of the run."""
    programs = [
        signal_program("day", [(15, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (15, "rrGGGGrrGGGG")]),
        signal_program("night", [(30, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (12, "rrGGGGrrGGGG")]),
    ]
    waut = (
        '<WAUT refTime="0" id="w" startProg="day"><wautSwitch time="120" to="night"/>'
        '<wautSwitch time="240" to="day"/></WAUT>'
        '<wautJunction wautID="w" junctionID="c"/>'
    )
    write(folder / "signals.add.xml", "additional", *programs, waut)
    return with_demand(folder, CROSSING, "signals.add.xml")


def _actuated(folder: Path) -> Path:
    """An actuated program of an additional file, and its parameters."""
    phases = [(20, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (20, "rrrGGrrrrGGr"), (3, "rrryyrrrryyr")]
    lefts = [(12, "rrGrrrrrGrrr"), (3, "rryrrrrryrrr"), (12, "rrrrrGrrrrrG"), (3, "rrrrryrrrrry")]
    program = signal_program(
        "actuated",
        phases + lefts,
        kind="actuated",
        inside='<param key="max-gap" value="2.5"/>',
        green='minDur="6" maxDur="40"',
    )
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def _delay_based(folder: Path) -> Path:
    """A program that follows the time lost by approaching vehicles."""
    phases = [(20, "GGGrrrGGGrrr"), (3, "yyyrrryyyrrr"), (20, "rrrGGGrrrGGG"), (3, "rrryyyrrryyy")]
    program = signal_program("d", phases, kind="delay_based", green='minDur="6" maxDur="40"')
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def _packed(folder: Path) -> Path:
    """Every input gzipped."""
    network, demand = folder / "town.net.xml.gz", folder / "town.rou.xml.gz"
    network.write_bytes(gzip.compress(CROSSING.read_bytes()))
    plain = folder / "plain.rou.xml"
    write(plain, "routes", *vehicles("v", every_s=2))
    demand.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return config(folder, network, demand.name)


def _late_begin(folder: Path) -> Path:
    """A morning that begins at seven, in hours and minutes."""
    begin_s = 7 * 3600
    write(folder / "demand.rou.xml", "routes", *vehicles("v", every_s=2, begin_s=begin_s))
    return config(folder, CROSSING, "demand.rou.xml", begin="7:00:00", end=str(begin_s + END_S))


def _half_second_steps(folder: Path) -> Path:
    """Two steps per second, moved ballistically."""
    return with_demand(folder, CROSSING, **{"step-length": "0.5", "step-method.ballistic": "true"})


def _tenth_second_steps(folder: Path) -> Path:
    """Ten steps per second, drivers who act once per second."""
    return with_demand(folder, CROSSING, **{"step-length": ".1", "default.action-step-length": "1"})


def _left_hand_traffic(folder: Path) -> Path:
    """A grid of left-hand traffic."""
    network = netgenerate(folder, "--lefthand")
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, network, "trips.rou.xml")


def _pedestrians(folder: Path) -> Path:
    """Persons walk, wait and cross at signals, and ride in cars."""
    network = netgenerate(folder, "--sidewalks.guess", "--crossings.guess")
    walks = [
        f'<person id="p{i}" depart="{i}"><walk from="{start}" to="{end}"/></person>'
        for i in range(0, END_S, 5)
        for start, end in [GRID_ENDS[i // 5 % len(GRID_ENDS)]]
    ]
    rides = [
        line
        for i in range(2, END_S, 20)
        for line in (
            f'<vehicle id="lift{i}" depart="{i}"><route edges="left0A0 A0B0 B0right0"/>'
            '<stop edge="A0B0" endPos="100" duration="5"/></vehicle>',
            f'<person id="rider{i}" depart="{i}"><walk edges="left0A0 A0B0" arrivalPos="80"/>'
            f'<ride from="A0B0" to="B0right0" lines="lift{i + 20}"/></person>',
        )
    ]
    write(folder / "walks.rou.xml", "routes", *walks)
    write(folder / "rides.rou.xml", "routes", *rides)
    write(folder / "trips.rou.xml", "routes", *grid_trips(every_s=2))
    return config(folder, network, "walks.rou.xml,rides.rou.xml,trips.rou.xml")


def _flows_of_persons(folder: Path) -> Path:
    """Persons come in flows, beside flows of vehicles."""
    network = netgenerate(folder, "--sidewalks.guess", "--crossings.guess")
    persons = [
        f'<personFlow id="p{i}" begin="0" end="{END_S}" period="exp(0.05)">'
        f'<walk from="{start}" to="{end}"/></personFlow>'
        for i, (start, end) in enumerate(GRID_ENDS)
    ]
    vehicles = [
        f'<flow id="f{i}" begin="0" end="{END_S}" probability="0.08" from="{start}" to="{end}"/>'
        for i, (start, end) in enumerate(GRID_ENDS)
    ]
    write(folder / "demand.rou.xml", "routes", *persons, *vehicles)
    return config(folder, network, "demand.rou.xml")


def _buses(folder: Path) -> Path:
    """Buses that stop, and persons who ride them."""
    network = netgenerate(folder, "--sidewalks.guess", "--crossings.guess")
    stops = (
        '<busStop id="first" lane="left0A0_1" startPos="100" endPos="130" lines="1"/>'
        '<busStop id="second" lane="B0right0_1" startPos="50" endPos="80" lines="1"/>'
    )
    buses = [
        f'<vehicle id="bus{i}" type="bus" depart="{i}" line="1">'
        '<route edges="left0A0 A0B0 B0right0"/><stop busStop="first" duration="10"/>'
        '<stop busStop="second" duration="10"/></vehicle>'
        f'<person id="rider{i}" depart="{i}"><walk from="A0left0" busStop="first"/>'
        '<ride busStop="second" lines="1"/></person>'
        for i in range(0, END_S, 40)
    ]
    write(folder / "stops.add.xml", "additional", stops)
    write(folder / "buses.rou.xml", "routes", '<vType id="bus" vClass="bus"/>', *buses)
    write(folder / "trips.rou.xml", "routes", *grid_trips(every_s=2))
    return config(folder, network, "buses.rou.xml,trips.rou.xml", "stops.add.xml")


def _parking(folder: Path) -> Path:
    """Vehicles park beside and on the road, and look for another place where one is full."""
    places = (
        '<parkingArea id="here" lane="left0A0_0" startPos="60" endPos="100" roadsideCapacity="2"/>'
        '<parkingArea id="there" lane="A0B0_0" startPos="60" endPos="100" roadsideCapacity="6"/>'
        '<rerouter id="look" edges="left0A0"><interval begin="0" end="9999">'
        '<parkingAreaReroute id="here"/><parkingAreaReroute id="there"/></interval></rerouter>'
    )
    parkers = [
        f'<trip id="p{i}" depart="{i}" from="left0A0" to="B0right0">'
        '<stop parkingArea="here" duration="90"/></trip>'
        for i in range(0, END_S, 20)
    ]
    write(folder / "places.add.xml", "additional", places)
    write(folder / "parkers.rou.xml", "routes", *parkers)
    write(folder / "trips.rou.xml", "routes", *grid_trips(every_s=2))
    return config(folder, GRID, "parkers.rou.xml,trips.rou.xml", "places.add.xml")


def _detectors_and_zones(folder: Path) -> Path:
    """Detectors of every kind, zones between which trips go, and a sign that slows traffic."""
    extra = (
        '<e1Detector id="e1" lane="left0A0_0" pos="50" period="60" file="e1.xml"/>',
        '<e2Detector id="e2" lane="left0A0_1" pos="50" length="80" period="60" file="e2.xml"/>',
        '<e3Detector id="e3" period="60" file="e3.xml"><detEntry lane="A0B0_0" pos="10"/>'
        '<detExit lane="B0right0_0" pos="50"/></e3Detector>',
        '<edgeData id="means" period="60" file="means.xml"/>',
        '<taz id="west" edges="left0A0 A0left0 left1A1 A1left1"/>',
        '<taz id="east" edges="right0B0 B0right0 right1B1 B1right1"/>',
        '<variableSpeedSign id="slow" lanes="A0B0_0 A0B0_1"><step time="100" speed="8"/>'
        '<step time="250" speed="13"/></variableSpeedSign>',
    )
    zoned = [
        f'<trip id="z{i}" depart="{i}" fromTaz="{"west" if i % 2 else "east"}" '
        f'toTaz="{"east" if i % 2 else "west"}"/>'
        for i in range(0, END_S, 5)
    ]
    write(folder / "extra.add.xml", "additional", *extra)
    write(folder / "zoned.rou.xml", "routes", *zoned)
    write(folder / "trips.rou.xml", "routes", *grid_trips(every_s=2))
    return config(folder, GRID, "zoned.rou.xml,trips.rou.xml", "extra.add.xml")


def _calibrated(folder: Path) -> Path:
    """A calibrator that adds and removes vehicles to reach a flow."""
    calibrator = (
        '<route id="through" edges="n_in s_out"/>'
        f'<calibrator id="k" edge="n_in" pos="10" period="30" output="k.xml">'
        f'<flow begin="0" end="{END_S}" route="through" vehsPerHour="500" speed="12"/>'
        "</calibrator>"
    )
    write(folder / "calibrator.add.xml", "additional", calibrator)
    return with_demand(folder, CROSSING, "calibrator.add.xml")


def _joined_signal(folder: Path) -> Path:
    """One signal controls two junctions."""
    network = netgenerate(folder, "--tls.join", "--tls.join-dist=250")
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, network, "trips.rou.xml")


def _all_red_and_shared_lanes(folder: Path) -> Path:
    """Greens that share lanes, and phases in which all is red."""
    phases = [
        (12, "GGGrrrGGgrrr"),
        (8, "GGGrrrrrrrrr"),
        (3, "yyyrrrrrrrrr"),
        (2, "rrrrrrrrrrrr"),
        (15, "rrrGGgrrrGGg"),
        (3, "rrryyyrrryyy"),
        (2, "rrrrrrrrrrrr"),
    ]
    write(folder / "signals.add.xml", "additional", signal_program("shared", phases))
    return with_demand(folder, CROSSING, "signals.add.xml")


def _single_green(folder: Path) -> Path:
    """A signal with one green only, beside three with two."""
    gate = (
        '<tlLogic id="A0" type="static" programID="gate" offset="0">'
        '<phase duration="25" state="GGGgooooGGGgoooo"/><phase duration="4" '
        'state="yyyyooooyyyyoooo"/><phase duration="12" state="rrrroooorrrroooo"/></tlLogic>'
    )
    write(folder / "signals.add.xml", "additional", gate)
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, GRID, "trips.rou.xml", "signals.add.xml")


def _off_then_on(folder: Path) -> Path:
    """Three of four signals are off or only blink."""
    dark = [
        f'<tlLogic id="{tls_id}" type="static" programID="dark" offset="0">'
        f'<phase duration="60" state="{letter * 16}"/></tlLogic>'
        for tls_id, letter in (("A0", "O"), ("A1", "o"))
    ]
    off = '<tlLogic id="B0" type="off" programID="off" offset="0"/>'
    write(folder / "signals.add.xml", "additional", *dark, off)
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, GRID, "trips.rou.xml", "signals.add.xml")


def _rail(folder: Path) -> Path:
    """A railway with rail signals and a level crossing beside a traffic light."""
    nodes = [
        '<node id="w" x="-400" y="0"/>',
        '<node id="e" x="400" y="0"/>',
        '<node id="light" x="0" y="0" type="traffic_light"/>',
        '<node id="n" x="0" y="300"/>',
        '<node id="s" x="0" y="-300"/>',
        '<node id="level" x="150" y="0" type="rail_crossing"/>',
        '<node id="rn" x="150" y="400"/>',
        '<node id="signal" x="150" y="200" type="rail_signal"/>',
        '<node id="rs" x="150" y="-400"/>',
    ]
    roads = [("w", "light"), ("light", "level"), ("level", "e"), ("n", "light"), ("light", "s")]
    roads += [(b, a) for a, b in roads]
    rails = [("rn", "signal"), ("signal", "level"), ("level", "rs")]
    edges = [
        f'<edge id="{a}_{b}" from="{a}" to="{b}" numLanes="1" speed="13.89" allow="passenger"/>'
        for a, b in roads
    ] + [
        f'<edge id="{a}_{b}" from="{a}" to="{b}" numLanes="1" speed="30" allow="rail"/>'
        for a, b in rails
    ]
    network = netconvert(folder, nodes, edges)
    ways = ("w_light level_e", "e_level light_w", "n_light light_s", "s_light level_e")
    demand = ['<vType id="train" vClass="rail" length="60"/>']
    for i in range(0, END_S, 3):
        start, end = ways[i // 3 % 4].split()
        demand.append(f'<trip id="t{i}" depart="{i}" from="{start}" to="{end}"/>')
        if i % 60 == 0:
            demand.append(
                f'<trip id="train{i}" type="train" depart="{i}" from="rn_signal" to="level_rs"/>'
            )
    write(folder / "demand.rou.xml", "routes", *demand)
    return config(folder, network, "demand.rou.xml")


def _sublanes(folder: Path) -> Path:
    """Vehicles that share lanes, bicycles among them."""
    bicycle = '<vType id="bicycle" vClass="bicycle"/>'
    demand = [
        *vehicles("v", every_s=3),
        *vehicles("b", every_s=7, begin_s=1, type="bicycle"),
    ]
    write(folder / "demand.rou.xml", "routes", bicycle, *sorted(demand, key=depart_s))
    return config(folder, CROSSING, "demand.rou.xml", **{"lateral-resolution": "0.8"})


def _slow_lane_changes(folder: Path) -> Path:
    """Lane changes that take time, impatient drivers, and a limit on what is in the network."""
    return with_demand(
        folder,
        CROSSING,
        **{
            "lanechange.duration": "3",
            "time-to-impatience": "30",
            "max-num-vehicles": "60",
            "max-depart-delay": "60",
        },
    )


def _distributions_beside_detectors(folder: Path) -> Path:
    """Routes to draw from stand in an additional file, as do the flows that draw them."""
    routes = "".join(f'<route edges="{leg}_in {way}_out"/>' for leg, way in WAYS)
    distribution = f'<routeDistribution id="all">{routes}</routeDistribution>'
    flow = f'<flow id="f" route="all" begin="0" end="{END_S}" period="2" departSpeed="10"/>'
    detector = '<e1Detector id="e1" lane="n_in_0" pos="50" period="60" file="e1.xml"/>'
    write(folder / "all.add.xml", "additional", detector, distribution, flow)
    return config(folder, CROSSING, "", "all.add.xml", **{"step-length": "0.5"})


def _weights(folder: Path) -> Path:
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


def _scaled(folder: Path) -> Path:
    """Demand that SUMO multiplies and shifts at random."""
    return with_demand(folder, CROSSING, scale="1.3", **{"random-depart-offset": "5"})


VARIANTS: dict[str, Callable[[Path], Path]] = {
    make.__name__.removeprefix("_"): make
    for make in (
        _files_in_parts,
        _every_kind_of_flow,
        _trips_and_rerouting,
        _distributions,
        _another_program,
        _switched_programs,
        _actuated,
        _delay_based,
        _packed,
        _late_begin,
        _half_second_steps,
        _tenth_second_steps,
        _left_hand_traffic,
        _pedestrians,
        _flows_of_persons,
        _buses,
        _parking,
        _detectors_and_zones,
        _calibrated,
        _joined_signal,
        _all_red_and_shared_lanes,
        _single_green,
        _off_then_on,
        _rail,
        _sublanes,
        _slow_lane_changes,
        _distributions_beside_detectors,
        _weights,
        _scaled,
    )
}
