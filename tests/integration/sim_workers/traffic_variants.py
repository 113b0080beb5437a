"""Small scenarios with traffic other than cars on roads: people, buses, rail, sublanes."""

from pathlib import Path

from tests.integration.sim_workers.variant_parts import (
    CROSSING,
    END_S,
    GRID,
    GRID_ENDS,
    config,
    depart_s,
    grid_trips,
    netconvert,
    netgenerate,
    vehicles,
    with_demand,
    write,
)

__all__ = [
    "buses",
    "detectors_and_zones",
    "flows_of_persons",
    "left_hand_traffic",
    "parking",
    "pedestrians",
    "rail",
    "slow_lane_changes",
    "sublanes",
]


def left_hand_traffic(folder: Path) -> Path:
    """A grid of left-hand traffic."""
    network = netgenerate(folder, "--lefthand")
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, network, "trips.rou.xml")


def pedestrians(folder: Path) -> Path:
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


def flows_of_persons(folder: Path) -> Path:
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


def buses(folder: Path) -> Path:
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


def parking(folder: Path) -> Path:
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


def detectors_and_zones(folder: Path) -> Path:
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


def rail(folder: Path) -> Path:
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


def sublanes(folder: Path) -> Path:
    """Vehicles that share lanes, bicycles among them."""
    bicycle = '<vType id="bicycle" vClass="bicycle"/>'
    demand = [
        *vehicles("v", every_s=3),
        *vehicles("b", every_s=7, begin_s=1, type="bicycle"),
    ]
    write(folder / "demand.rou.xml", "routes", bicycle, *sorted(demand, key=depart_s))
    return config(folder, CROSSING, "demand.rou.xml", **{"lateral-resolution": "0.8"})


def slow_lane_changes(folder: Path) -> Path:
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
