"""Small networks by ``netgenerate``, and what demand has to know of them."""

import os
import random
import subprocess
import threading
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeXml

__all__ = ["Network", "draw_network", "make_network", "sumo_program"]

_KINDS = (
    ("grid", ("--grid", "--grid.x-number=2", "--grid.y-number=1", "--grid.attach-length=120")),
    ("grid", ("--grid", "--grid.x-number=2", "--grid.y-number=2", "--grid.attach-length=100")),
    ("grid", ("--grid", "--grid.x-number=3", "--grid.y-number=1", "--grid.attach-length=100")),
    (
        "spider",
        (
            "--spider",
            "--spider.arm-number=4",
            "--spider.circle-number=2",
            "--spider.space-radius=120",
        ),
    ),
    ("random", ("--rand", "--rand.iterations=14", "--rand.min-distance=90")),
)
_GRID_LENGTHS_M = (120, 160, 200)
_MODIFIERS = (
    ("left-hand traffic", 0.15, ("--lefthand",)),
    ("crossings", 0.3, ("--sidewalks.guess", "--crossings.guess")),
    ("actuated programs", 0.12, ("--tls.default-type=actuated",)),
    ("delay-based programs", 0.05, ("--tls.default-type=delay_based",)),
    ("NEMA controllers", 0.02, ("--tls.default-type=NEMA",)),
    ("bicycle lanes", 0.07, ("--bikelanes.guess",)),
)


@dataclass(frozen=True)
class Network:
    """A network, as far as demand and signals need it."""

    path: Path
    following: dict[str, tuple[str, ...]]
    """By edge, the edges that can be driven to from it."""
    entries: tuple[str, ...]
    """Edges that come from outside; all where there are none."""
    lanes: dict[str, tuple[str, float]]
    """By edge, a lane for cars and its length in metres."""
    programs: dict[str, tuple[tuple[float, str], ...]]
    """By signal, duration in seconds and letters of each phase."""

    def walk(self, rng: random.Random, longest: int = 5) -> tuple[str, ...]:
        """A random way of at least two edges."""
        while True:
            way = [rng.choice(self.entries)]
            for _ in range(rng.randint(2, longest)):
                ahead = [edge for edge in self.following[way[-1]] if edge not in way]
                if not ahead:
                    break
                way.append(rng.choice(ahead))
            if len(way) > 1:
                return tuple(way)


def draw_network(rng: random.Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Features of a network, and the options of ``netgenerate`` that make it."""
    kind, options = rng.choice(_KINDS)
    given = [*options, "--default-junction-type=traffic_light", f"--seed={rng.randrange(1000)}"]
    given.append(f"--default.lanenumber={rng.choice((1, 2))}")
    if kind == "grid":
        given.append(f"--grid.length={rng.choice(_GRID_LENGTHS_M)}")
    if rng.random() < 0.6:
        given.append("--no-turnarounds")
    features = [kind]
    for feature, share, more in _MODIFIERS:
        has_type = any(option.startswith("--tls.default-type") for option in given)
        if rng.random() < share and not (has_type and more[0].startswith("--tls.default-type")):
            features.append(feature)
            given.extend(more)
    return tuple(features), tuple(given)


def make_network(options: tuple[str, ...], folder: Path) -> Network:
    """Generates a network, or takes what was generated before."""
    digest = sha256("\n".join(options).encode()).hexdigest()[:16]
    path = folder / f"{digest}.net.xml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        program = sumo_program("netgenerate")
        fresh = folder / f"{digest}.{threading.get_ident()}.net.xml"
        subprocess.run(
            [program, *options, "--no-warnings", f"--output-file={fresh}"],
            check=True,
            capture_output=True,
            env=os.environ | {"SUMO_HOME": str(program.parents[1])},
        )
        fresh.replace(path)  # others may be generating the same
    return _read(path)


def sumo_program(name: str) -> Path:
    """A program of the installed eclipse-sumo package."""
    spec = find_spec("sumo")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "bin" / name


def _read(path: Path) -> Network:
    root = SafeXml.parse(path).getroot()
    assert root is not None
    edges = {edge.attrib["id"]: edge for edge in root.iter("edge") if "function" not in edge.attrib}
    lanes = {name: lane for name, edge in edges.items() if (lane := _car_lane(edge)) is not None}
    following: dict[str, dict[str, None]] = {name: {} for name in lanes}
    entered = set()
    for link in root.iter("connection"):
        start, end = link.attrib["from"], link.attrib["to"]
        if start in lanes and end in lanes and link.get("dir") != "t":
            following[start][end] = None
            entered.add(end)
    entries = tuple(name for name in lanes if name not in entered and following[name])
    programs = {
        logic.attrib["id"]: tuple(
            (float(phase.attrib["duration"]), phase.attrib["state"])
            for phase in logic.iter("phase")
        )
        for logic in root.iter("tlLogic")
    }
    return Network(
        path=path,
        following={name: tuple(ends) for name, ends in following.items()},
        entries=entries or tuple(name for name in lanes if following[name]),
        lanes=lanes,
        programs=programs,
    )


def _car_lane(edge: Element) -> tuple[str, float] | None:
    for lane in edge.iter("lane"):
        allowed = lane.get("allow")
        if allowed is None or "passenger" in allowed:
            return lane.attrib["id"], float(lane.attrib["length"])
    return None
