"""What the variants are made of: demand on our own networks, signal programs, files."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.integration.conftest import SCENARIOS
from tests.integration.sim_workers.uninterrupted import sumo_binary

__all__ = [
    "CROSSING",
    "END_S",
    "GRID",
    "GRID_ENDS",
    "WAYS",
    "config",
    "depart_s",
    "flow",
    "flows",
    "grid_trips",
    "netconvert",
    "netgenerate",
    "signal_program",
    "trips",
    "vehicles",
    "with_demand",
    "write",
]

CROSSING = SCENARIOS / "crossing" / "crossing.net.xml"
GRID = SCENARIOS / "grid2x2" / "grid2x2.net.xml"
END_S = 420
WAYS = [(leg, way) for leg in "nesw" for way in "nesw" if leg != way]
"""Ways across the crossing, from leg to leg."""

GRID_ENDS = (
    ("left0A0", "B0right0"),
    ("right1B1", "A1left1"),
    ("bottom0A0", "A1top0"),
    ("top1B1", "B0bottom1"),
    ("left1A1", "B0bottom1"),
    ("right0B0", "A1top0"),
)
"""Where trips across the grid begin and end."""


def vehicles(prefix: str, every_s: int, begin_s: int = 0, **attributes: str) -> list[str]:
    """Vehicles with routes of their own, one after the other on every way across."""
    more = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return [
        f'<vehicle id="{prefix}{i}" depart="{begin_s + i * every_s}"{more}>'
        f'<route edges="{leg}_in {way}_out"/></vehicle>'
        for i in range(END_S // every_s)
        for leg, way in [WAYS[i * 5 % len(WAYS)]]
    ]


def trips(prefix: str, every_s: int) -> list[str]:
    """Trips one after the other on every way across."""
    return [
        f'<trip id="{prefix}{i}" depart="{i * every_s}" from="{leg}_in" to="{way}_out"/>'
        for i in range(END_S // every_s)
        for leg, way in [WAYS[i * 7 % len(WAYS)]]
    ]


def flows(rate: str) -> list[str]:
    """A flow of this rate on every way across."""
    return [flow(i, leg, way, rate) for i, (leg, way) in enumerate(WAYS)]


def flow(number: int, leg: str, way: str, rate: str) -> str:
    """A flow from one leg to another."""
    return (
        f'<flow id="f{number}" begin="0" end="{END_S}" {rate} from="{leg}_in" to="{way}_out" '
        'departLane="best" departSpeed="max"/>'
    )


def grid_trips(every_s: int = 1) -> list[str]:
    """Trips across the grid, one after the other."""
    return [
        f'<trip id="t{i}" depart="{i * every_s}" from="{start}" to="{end}"/>'
        for i in range(END_S // every_s)
        for start, end in [GRID_ENDS[i * 5 % len(GRID_ENDS)]]
    ]


def depart_s(vehicle: str) -> float:
    """When a vehicle departs, for sorting."""
    return float(vehicle.split('depart="')[1].split('"')[0])


def signal_program(
    program_id: str,
    phases: Iterable[tuple[int, str]],
    kind: str = "static",
    inside: str = "",
    green: str = "",
) -> str:
    """A program of the crossing's signal; ``green`` are attributes of its green phases."""
    lines = "".join(
        f'<phase duration="{duration_s}" state="{state}" {green if "G" in state else ""}/>'
        for duration_s, state in phases
    )
    return (
        f'<tlLogic id="c" type="{kind}" programID="{program_id}" offset="0">{inside}{lines}'
        "</tlLogic>"
    )


def with_demand(folder: Path, network: Path, additional: str = "", **options: str) -> Path:
    """The crossing with explicit vehicles."""
    write(folder / "demand.rou.xml", "routes", *vehicles("v", every_s=2))
    return config(folder, network, "demand.rou.xml", additional, **options)


def config(folder: Path, network: Path, routes: str, additional: str = "", **options: str) -> Path:
    """Writes the configuration of a scenario; its end may be given among the options."""
    given = {"net-file": str(network), "route-files": routes, "end": str(END_S), **options}
    if additional:
        given["additional-files"] = additional
    config = folder / f"{folder.name}.sumocfg"
    write(config, "sumoConfiguration", *(f'<{n} value="{v}"/>' for n, v in given.items()))
    return config


def write(path: Path, root: str, *lines: str) -> None:
    """Writes an XML file."""
    path.write_text("\n".join([f"<{root}>", *lines, f"</{root}>", ""]))


def netgenerate(folder: Path, *options: str) -> Path:
    """The grid of our own scenario, with some more options."""
    network = folder / "grid.net.xml"
    size = ["--grid", "--grid.number=2", "--grid.length=200", "--grid.attach-length=200"]
    lights = ["--default.lanenumber=2", "--tls.set=A0,A1,B0,B1", "--no-turnarounds"]
    _run("netgenerate", *size, *lights, *options, f"--output-file={network}")
    return network


def netconvert(folder: Path, nodes: Iterable[str], edges: Iterable[str]) -> Path:
    """A network of nodes and edges."""
    network = folder / "town.net.xml"
    write(folder / "town.nod.xml", "nodes", *nodes)
    write(folder / "town.edg.xml", "edges", *edges)
    given = [f"--node-files={folder}/town.nod.xml", f"--edge-files={folder}/town.edg.xml"]
    _run("netconvert", *given, f"--output-file={network}")
    return network


def _run(program: str, *arguments: str) -> None:
    binary = Path(sumo_binary())
    subprocess.run(  # fixed program of an installed package
        [binary.with_name(program), *arguments],
        check=True,
        capture_output=True,
        env=os.environ | {"SUMO_HOME": str(binary.parents[1])},
    )
