"""What stands around the demand: options of the configuration, and additional files."""

import random
from collections.abc import Callable

from tests.fuzz.networks import Network
from tests.fuzz.scenario import DEFINED, Line, Option, Part

__all__ = ["SURROUNDINGS", "draw_options"]

_FILE = "signals.add.xml"
_TOGETHER = 0.6
"""How often two devices with shares occur together: all draw from one generator."""
_ACCENTED = "Löschzug0/0"


def _program(name: str, tls_id: str, phases: tuple[tuple[float, str], ...], factor: float) -> str:
    lines = "".join(
        f'<phase duration="{round(seconds * factor) if "G" in letters else seconds:g}" '
        f'state="{letters}"/>'
        for seconds, letters in phases
    )
    head = f'<tlLogic id="{tls_id}" type="static" programID="{name}" offset="0">'
    return f"{head}{lines}</tlLogic>"


def _additional_program(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """A program that takes the place of the network's."""
    text = _program("other", tls_id, network.programs[tls_id], rng.choice((0.5, 0.7, 1.4)))
    return Part(("additional program",), (Line(_FILE, DEFINED, text),))


def _waut(rng: random.Random, network: Network, tls_id: str, begin_s: int, to: str) -> Part:
    phases = network.programs[tls_id]
    times = sorted(rng.sample(range(begin_s + 70, begin_s + 260, 10), 2))
    day, evening = (_program(n, tls_id, phases, f) for n, f in (("day", 0.6), ("evening", 1.2)))
    switches = [f'<wautSwitch time="{times[0]}" to="{to}"/>']
    switches.append(f'<wautSwitch time="{times[1]}" to="day"/>')
    waut = f'<WAUT id="w" refTime="0" startProg="day">{"".join(switches)}</WAUT>'
    junction = f'<wautJunction wautID="w" junctionID="{tls_id}"/>'
    feature = "WAUT to off" if to == "off" else "WAUT"
    return Part((feature,), tuple(Line(_FILE, DEFINED, t) for t in (day, evening, waut, junction)))


def _waut_to_program(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """A program for the evening."""
    return _waut(rng, network, tls_id, begin_s, "evening")


def _waut_to_off(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """A signal that is switched off for a while."""
    return _waut(rng, network, tls_id, begin_s, "off")


def _closure(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """An edge that is closed for a while."""
    edge = rng.choice(sorted(network.following))
    before = [name for name, ends in network.following.items() if edge in ends] or [edge]
    from_s = begin_s + rng.randrange(20, 150)
    text = (
        f'<rerouter id="closed" edges="{" ".join(before)}"><interval begin="{from_s}" '
        f'end="{from_s + 120}"><closingReroute id="{edge}"/></interval></rerouter>'
    )
    return Part(("closure",), (Line("closed.add.xml", DEFINED, text),))


def _detectors(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """Detectors and records that write files."""
    lane, _ = network.lanes[rng.choice(sorted(network.lanes))]
    texts = (
        f'<e1Detector id="e1" lane="{lane}" pos="20" period="60" file="e1.xml"/>',
        f'<e2Detector id="e2" lane="{lane}" pos="10" length="40" period="60" file="e2.xml"/>',
        '<edgeData id="means" period="60" file="means.xml"/>',
        f'<timedEvent type="SaveTLSStates" source="{tls_id}" dest="tls.xml"/>',
    )
    return Part(
        ("detectors and records",), tuple(Line("detectors.add.xml", DEFINED, t) for t in texts)
    )


def _speed_sign(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """A sign that slows traffic."""
    lane, _ = network.lanes[rng.choice(sorted(network.lanes))]
    step = f'<step time="{begin_s + 60}" speed="6"/>'
    text = f'<variableSpeedSign id="sign" lanes="{lane}">{step}</variableSpeedSign>'
    return Part(("variable speed sign",), (Line("signs.add.xml", DEFINED, text),))


def _calibrator(rng: random.Random, network: Network, tls_id: str, begin_s: int) -> Part:
    """A calibrator that adds and removes vehicles to reach a flow."""
    way = network.walk(rng)
    route = f'<route id="calibrated" edges="{" ".join(way)}"/>'
    flow = (
        f'<flow begin="{begin_s}" end="{begin_s + 300}" route="calibrated" '
        f'vehsPerHour="{rng.choice((150, 500))}" speed="10"/>'
    )
    text = f'<calibrator id="k" edge="{way[0]}" pos="5" period="30" output="k.xml">{flow}'
    return Part(
        ("calibrator",),
        tuple(Line("calibrator.add.xml", DEFINED, t) for t in (route, f"{text}</calibrator>")),
    )


SURROUNDINGS: tuple[tuple[float, Callable[[random.Random, Network, str, int], Part]], ...] = (
    (0.1, _additional_program),
    (0.06, _waut_to_program),
    (0.05, _waut_to_off),
    (0.1, _closure),
    (0.1, _detectors),
    (0.04, _speed_sign),
    (0.03, _calibrator),
)
"""How often each is drawn. Only one of those that write a program."""


def _rerouting(rng: random.Random) -> list[Option]:
    feature = "rerouting share"
    share = rng.choice(("0.3", "0.6", "1"))
    given = [Option(feature, "device.rerouting.probability", share)]
    if rng.random() < 0.7:
        given.append(Option(feature, "device.rerouting.period", rng.choice(("20", "60"))))
    return given


def _silent_device(rng: random.Random) -> list[Option]:
    """Devices that only write, and draw all the same."""
    name = rng.choice(("fcd", "fcd", "emissions", "tripinfo", "ssm", "vehroute"))
    value = rng.choice(("0", "0.2", "0.5"))
    given = [Option("share of a writing device", f"device.{name}.probability", value)]
    return given + (_rerouting(rng) if rng.random() < _TOGETHER else [])


def _device(rng: random.Random) -> list[Option]:
    name = rng.choice(("battery", "bluelight", "glosa", "driverstate"))
    value = rng.choice(("0", "0.3"))
    return [Option("share of an acting device", f"device.{name}.probability", value)]


def _accented_value(rng: random.Random) -> list[Option]:
    return [Option("non-ASCII option value", "device.bluelight.explicit", _ACCENTED)]


def _chosen(feature: str, name: str, *values: str) -> Callable[[random.Random], list[Option]]:
    return lambda rng: [Option(feature, name, rng.choice(values))]


_OPTIONS: tuple[tuple[float, Callable[[random.Random], list[Option]]], ...] = (
    (0.14, _rerouting),
    (0.1, _silent_device),
    (0.06, _device),
    (0.03, _accented_value),
    (0.15, _chosen("step length", "step-length", "0.5", "0.5", "0.25", "0.1")),
    (0.1, _chosen("scale", "scale", "0.7", "1.3", "1.6")),
    (0.04, _chosen("random-depart-offset", "random-depart-offset", "7", "20")),
    (0.06, _chosen("lateral-resolution", "lateral-resolution", "0.8")),
    (0.1, _chosen("teleporting", "time-to-teleport", "40", "120", "300")),
    (0.05, _chosen("speed deviation", "default.speeddev", "0", "0.3")),
    (0.05, _chosen("action step length", "default.action-step-length", "1")),
    (0.06, _chosen("route-steps", "route-steps", "30", "0", "1000")),
    (0.03, _chosen("max-depart-delay", "max-depart-delay", "10")),
    (0.03, _chosen("max-num-vehicles", "max-num-vehicles", "30")),
    (0.08, _chosen("trip output", "tripinfo-output", "trips.xml")),
    (0.05, _chosen("summary output", "summary-output", "summary.xml")),
    (0.04, _chosen("fcd output", "fcd-output", "fcd.xml")),
    (0.03, _chosen("default departure", "default.departlane", "random", "first")),
    (0.03, _chosen("pedestrian model", "pedestrian.model", "nonInteracting")),
    (0.02, _chosen("mesoscopic", "mesosim", "true")),
)


def draw_options(rng: random.Random) -> tuple[Option, ...]:
    """Options of the configuration, each with its own chance."""
    drawn = [option for chance, draw in _OPTIONS if rng.random() < chance for option in draw(rng)]
    return tuple({option.name: option for option in drawn}.values())
