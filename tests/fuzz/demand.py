"""Demand of every kind, each kind one function that draws a part of a scenario."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.fuzz.networks import Network
from tests.fuzz.scenario import DEFINED, LAST, Line, Part

__all__ = ["DEMAND", "ON_FOOT", "Drawing"]


@dataclass
class Drawing:
    """What a part of demand is drawn from."""

    rng: random.Random
    network: Network
    begin_s: int
    end_s: int
    """Until when it comes, seconds."""
    files: tuple[str, ...]
    """The route files, one of which each part is written into."""
    number: int = 0
    """Of the part: ids begin with it."""

    @property
    def prefix(self) -> str:
        """What ids of the part begin with."""
        return f"p{self.number}"

    def file(self) -> str:
        """One of the route files."""
        return self.rng.choice(self.files)

    def departures(self, fewest: int = 25, most: int = 90) -> list[int]:
        """Sorted times of departure."""
        count = self.rng.randint(fewest, most)
        span = range(self.begin_s, self.end_s)
        return sorted(self.rng.choice(span) for _ in range(count))

    def ends(self) -> tuple[str, str]:
        """From where to where a trip can go."""
        way = self.network.walk(self.rng, 6)
        return way[0], way[-1]


def _vehicles(d: Drawing) -> Part:
    """Vehicles with routes of their own."""
    file = d.file()
    return Part(
        ("vehicles",),
        tuple(
            Line(file, at, _vehicle(f"{d.prefix}.{i}", at, d.network.walk(d.rng)))
            for i, at in enumerate(d.departures())
        ),
    )


def _vehicle(name: str, at: float, way: tuple[str, ...], more: str = "") -> str:
    route = f'<route edges="{" ".join(way)}"/>'
    return f'<vehicle id="{name}" depart="{at}"{more}>{route}</vehicle>'


def _random_vehicles(d: Drawing) -> Part:
    """Vehicles that draw where, how fast and on which lane they begin."""
    file = d.file()
    more = (
        f' type="{d.prefix}" departLane="random" departSpeed="random" '
        f'departPos="{d.rng.choice(("random", "random_free"))}"'
    )
    kind = f'<vType id="{d.prefix}" speedFactor="norm(1,0.2)" sigma="0.8"/>'
    return Part(
        ("random departures",),
        (
            Line(file, DEFINED, kind),
            *(
                Line(file, at, _vehicle(f"{d.prefix}.{i}", at, d.network.walk(d.rng), more))
                for i, at in enumerate(d.departures())
            ),
        ),
    )


def _named_routes(d: Drawing) -> Part:
    """Vehicles on routes that were defined before."""
    file = d.file()
    routes = [
        Line(
            file,
            DEFINED,
            f'<route id="{d.prefix}.r{i}" edges="{" ".join(d.network.walk(d.rng))}"/>',
        )
        for i in range(4)
    ]
    vehicles = []
    for i, at in enumerate(d.departures()):
        route = f"{d.prefix}.r{d.rng.randrange(4)}"
        text = f'<vehicle id="{d.prefix}.{i}" depart="{at}" route="{route}"/>'
        vehicles.append(Line(file, at, text))
    return Part(("named routes",), (*routes, *vehicles))


def _trips(d: Drawing) -> Part:
    """Trips, routed when they depart."""
    return Part(("trips",), tuple(_trip_lines(d, d.file())))


def _trip_lines(d: Drawing, file: str, more: str = "") -> Iterator[Line]:
    for i, at in enumerate(d.departures()):
        start, end = d.ends()
        text = f'<trip id="{d.prefix}.{i}" depart="{at}" from="{start}" to="{end}"{more}/>'
        yield Line(file, at, text)


def _type_distribution(d: Drawing) -> Part:
    """Trips that draw their type."""
    file = d.file()
    types = (
        f'<vType id="{d.prefix}.car" probability="0.7" speedFactor="norm(1,0.15)"/>'
        f'<vType id="{d.prefix}.lorry" probability="0.3" vClass="truck" length="11"/>'
    )
    kind = f'<vTypeDistribution id="{d.prefix}">{types}</vTypeDistribution>'
    lines = _trip_lines(d, file, f' type="{d.prefix}"')
    return Part(("vTypeDistribution",), (Line(file, DEFINED, kind), *lines))


def _route_distribution(d: Drawing) -> Part:
    """Vehicles that draw their route."""
    file = d.file()
    routes = "".join(
        f'<route id="{d.prefix}.r{i}" edges="{" ".join(d.network.walk(d.rng))}" '
        f'probability="{d.rng.choice((0.2, 0.5, 1))}"/>'
        for i in range(3)
    )
    kind = f'<routeDistribution id="{d.prefix}">{routes}</routeDistribution>'
    vehicles = (
        Line(file, at, f'<vehicle id="{d.prefix}.{i}" depart="{at}" route="{d.prefix}"/>')
        for i, at in enumerate(d.departures())
    )
    return Part(("routeDistribution",), (Line(file, DEFINED, kind), *vehicles))


_RATES: tuple[tuple[str, Callable[[random.Random], str]], ...] = (
    ("flow by number", lambda rng: f'number="{rng.randint(12, 45)}"'),
    ("flow by period", lambda rng: f'period="{rng.choice((5, 8, 11, 6.5))}"'),
    ("flow by probability", lambda rng: f'probability="{rng.choice((0.06, 0.1, 0.2))}"'),
    ("flow by vehsPerHour", lambda rng: f'vehsPerHour="{rng.choice((250, 400, 700))}"'),
    ("flow by exp()", lambda rng: f'period="exp({rng.choice((0.07, 0.12, 0.2))})"'),
)


def _flows(d: Drawing) -> Part:
    """Flows, which draw while they are read or while they run."""
    file = d.file()
    rate_name, rate = d.rng.choice(_RATES)
    begins_later, has_end = d.rng.random() < 0.35, d.rng.random() < 0.7
    count = d.rng.randint(1, 4)
    features = [rate_name]
    features += ["flow begins later"] if begins_later else []
    features += [] if has_end else ["flow without end"]
    features += ["several flows"] if count > 1 else []
    lines = []
    for i in range(count):
        at = d.begin_s + (d.rng.randrange(5, 150) if begins_later else 0)
        start, end = d.ends()
        until = f' end="{d.end_s}"' if has_end else ""
        text = (
            f'<flow id="{d.prefix}.{i}" begin="{at}"{until} {rate(d.rng)} '
            f'from="{start}" to="{end}"/>'
        )
        lines.append(Line(file, at, text))
    return Part(tuple(features), tuple(lines))


def _routed_flow(d: Drawing) -> Part:
    """A flow whose vehicles draw their type and route."""
    file = d.file()
    types = "".join(
        f'<vType id="{d.prefix}.t{i}" probability="0.5" maxSpeed="{9 + 5 * i}"/>' for i in range(2)
    )
    routes = "".join(
        f'<route edges="{" ".join(d.network.walk(d.rng))}" probability="0.5"/>' for _ in range(3)
    )
    rate_name, rate = d.rng.choice(_RATES)
    return Part(
        (rate_name, "flow of distributions"),
        (
            Line(
                file, DEFINED, f'<vTypeDistribution id="{d.prefix}.t">{types}</vTypeDistribution>'
            ),
            Line(
                file, DEFINED, f'<routeDistribution id="{d.prefix}.r">{routes}</routeDistribution>'
            ),
            Line(
                file,
                d.begin_s,
                f'<flow id="{d.prefix}" begin="{d.begin_s}" end="{d.end_s}" {rate(d.rng)} '
                f'type="{d.prefix}.t" route="{d.prefix}.r"/>',
            ),
        ),
    )


def _unsorted(d: Drawing) -> Part:
    """Vehicles that stand after later ones; SUMO leaves them out."""
    file = d.file()
    at = d.rng.randrange(d.begin_s + 100, d.end_s)
    late = Line(file, LAST, _vehicle(f"{d.prefix}.late", at, d.network.walk(d.rng)))
    return Part(
        ("unsorted vehicles",),
        (
            late,
            *(
                Line(file, LAST, _vehicle(f"{d.prefix}.{i}", at, d.network.walk(d.rng)))
                for i, at in enumerate(d.departures(60, 150))
            ),
        ),
    )


def _accented(d: Drawing) -> Part:
    """Ids as people write them who have more letters than ASCII."""
    file = d.file()
    kind = Line(
        file, DEFINED, f'<vType id="Löschzug{d.number}" vClass="emergency" guiShape="bus"/>'
    )
    more = f' type="Löschzug{d.number}"'
    return Part(
        ("non-ASCII ids",),
        (
            kind,
            *(
                Line(file, at, _vehicle(f"Löschzug{d.number}/{i}", at, d.network.walk(d.rng), more))
                for i, at in enumerate(d.departures(10, 30))
            ),
        ),
    )


def _in_additional(d: Drawing) -> Part:
    """Demand that stands in an additional file, in no order."""
    lines = [
        Line("extra.add.xml", at, _vehicle(f"{d.prefix}.{i}", at, d.network.walk(d.rng)))
        for i, at in enumerate(d.departures())
    ]
    d.rng.shuffle(lines)
    return Part(("demand in additional files",), tuple(lines))


def _flow_in_additional(d: Drawing) -> Part:
    """A flow that stands in an additional file, which is read at once."""
    rate_name, rate = d.rng.choice(_RATES)
    start, end = d.ends()
    text = (
        f'<flow id="{d.prefix}" begin="{d.begin_s}" end="{d.end_s}" {rate(d.rng)} '
        f'from="{start}" to="{end}"/>'
    )
    line = Line("extra.add.xml", d.begin_s, text)
    return Part(("demand in additional files", rate_name), (line,))


def _buses(d: Drawing) -> Part:
    """Buses that stop where they are told to."""
    file, way = d.file(), d.network.walk(d.rng, 4)
    stopped = way[1]
    lane, length_m = d.network.lanes[stopped]
    stop = (
        f'<busStop id="{d.prefix}" lane="{lane}" startPos="{length_m * 0.3:.1f}" '
        f'endPos="{length_m * 0.3 + 20:.1f}"/>'
    )
    buses = (
        Line(
            file,
            at,
            f'<vehicle id="{d.prefix}.{i}" depart="{at}" type="{d.prefix}" line="{d.prefix}">'
            f'<route edges="{" ".join(way)}"/>'
            f'<stop busStop="{d.prefix}" duration="{d.rng.randint(5, 30)}"/></vehicle>',
        )
        for i, at in enumerate(range(d.begin_s + 5, d.end_s, d.rng.randint(30, 80)))
    )
    return Part(
        ("buses",),
        (
            Line("stops.add.xml", DEFINED, stop),
            Line(file, DEFINED, f'<vType id="{d.prefix}" vClass="bus"/>'),
            *buses,
        ),
    )


def _persons(d: Drawing) -> Part:
    """Persons who walk."""
    file = d.file()
    lines = []
    for i, at in enumerate(d.departures(15, 60)):
        start, end = d.ends()
        walk = f'<walk from="{start}" to="{end}"/>'
        lines.append(Line(file, at, f'<person id="{d.prefix}.{i}" depart="{at}">{walk}</person>'))
    return Part(("persons",), tuple(lines))


def _person_trips(d: Drawing) -> Part:
    """Persons for whom SUMO finds a way."""
    file = d.file()
    lines = []
    for i, at in enumerate(d.departures(10, 30)):
        start, end = d.ends()
        trip = f'<personTrip from="{start}" to="{end}"/>'
        lines.append(Line(file, at, f'<person id="{d.prefix}.{i}" depart="{at}">{trip}</person>'))
    return Part(("personTrips",), tuple(lines))


def _person_flow(d: Drawing) -> Part:
    """Flows of persons."""
    file = d.file()
    start, end = d.ends()
    rate = d.rng.choice(('period="9"', 'period="exp(0.1)"', 'probability="0.1"', 'number="40"'))
    text = (
        f'<personFlow id="{d.prefix}" begin="{d.begin_s}" end="{d.end_s}" {rate}>'
        f'<walk from="{start}" to="{end}"/></personFlow>'
    )
    return Part(("personFlow",), (Line(file, d.begin_s, text),))


DEMAND: tuple[tuple[int, Callable[[Drawing], Part]], ...] = (
    (4, _vehicles),
    (2, _random_vehicles),
    (2, _named_routes),
    (4, _trips),
    (2, _type_distribution),
    (2, _route_distribution),
    (9, _flows),
    (2, _routed_flow),
    (2, _unsorted),
    (1, _accented),
    (1, _in_additional),
    (1, _flow_in_additional),
    (1, _buses),
)
"""Weight and function of each kind of demand for any network."""
ON_FOOT: tuple[Callable[[Drawing], Part], ...] = (_persons, _person_trips, _person_flow)
"""Kinds of demand for networks with crossings."""
