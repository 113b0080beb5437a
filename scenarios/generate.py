"""Writes the two scenarios of this folder, byte for byte the same on every run.

Owns their networks, signal programs and demand. Needs SUMO's ``netconvert`` and ``netgenerate``,
which the ``eclipse-sumo`` package of the development environment brings; running the scenarios
needs nothing of this file.

    python scenarios/generate.py [--out FOLDER]
"""

import argparse
import importlib.util
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["main", "write_crossing", "write_grid2x2"]

HOUR_S = 3600
SLICE_S = 600
"""The demand changes every ten minutes."""

SPEED_MPS = 13.89
YELLOW_S = 3
THROUGH_GREEN_S = 30
LEFT_GREEN_S = 12

HEAVY_TO_LIGHT_VEH_H = (460, 420, 330, 240, 180, 220)
"""Vehicles an hour going straight or right on each northern and southern approach, a slice."""
LIGHT_TO_HEAVY_VEH_H = (180, 230, 320, 420, 460, 400)
"""The same for the eastern and western approaches: when one axis empties, the other fills."""


def main() -> None:
    """Writes both scenarios below ``--out``, by default next to this file."""
    parser = argparse.ArgumentParser(description="Write Greenfork's own scenarios.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    out: Path = parser.parse_args().out
    write_crossing(out / "crossing")
    write_grid2x2(out / "grid2x2")
    print(f"wrote {out / 'crossing'} and {out / 'grid2x2'}")


# --- crossing -------------------------------------------------------------------------------

_CLOCKWISE = ("n", "e", "s", "w")
_PLACES = {"n": (0, 300), "e": (300, 0), "s": (0, -300), "w": (-300, 0)}
_TURNS = {"r": 3, "s": 2, "l": 1}
"""How many legs clockwise from the approach the exit of a turn lies, in right-hand traffic."""


@dataclass(frozen=True)
class _Movement:
    """One way across the junction; its place in ``_MOVEMENTS`` is its link at the signal."""

    leg: str
    turn: str

    @property
    def exit(self) -> str:
        return _CLOCKWISE[(_CLOCKWISE.index(self.leg) + _TURNS[self.turn]) % 4]

    @property
    def lane(self) -> int:
        return 1 if self.turn == "l" else 0


_MOVEMENTS = tuple(_Movement(leg, turn) for leg in _CLOCKWISE for turn in _TURNS)


def write_crossing(folder: Path) -> None:
    """One junction: four legs, a left-turn lane each, lefts with a green of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = ['<node id="c" x="0" y="0" type="traffic_light"/>'] + [
        f'<node id="{leg}" x="{x}" y="{y}"/>' for leg, (x, y) in _PLACES.items()
    ]
    edges = [
        f'<edge id="{leg}_{way}" from="{ends[0]}" to="{ends[1]}" numLanes="2" speed="{SPEED_MPS}"/>'
        for leg in _CLOCKWISE
        for way, ends in (("in", (leg, "c")), ("out", ("c", leg)))
    ]
    links = [
        f'from="{m.leg}_in" to="{m.exit}_out" fromLane="{m.lane}" toLane="{m.lane}"'
        for m in _MOVEMENTS
    ]
    phases = list(_crossing_phases())
    signal = [
        '<tlLogic id="c" type="static" programID="0" offset="0">',
        *(f'<phase duration="{duration_s}" state="{lights}"/>' for duration_s, lights in phases),
        "</tlLogic>",
        *(f'<connection {link} tl="c" linkIndex="{i}"/>' for i, link in enumerate(links)),
    ]
    plain = {
        "nod": _xml("nodes", nodes),
        "edg": _xml("edges", edges),
        "con": _xml("connections", [f"<connection {link}/>" for link in links]),
        "tll": _xml("tlLogics", signal),
    }
    (folder / "crossing.net.xml").write_text(_netconvert(plain))
    (folder / "crossing.rou.xml").write_text(_xml("routes", _crossing_demand()))
    _write_config(folder, "crossing")


def _crossing_phases() -> Iterator[tuple[int, str]]:
    """Duration and lights of each phase: four greens, each followed by its yellow."""
    for legs in ("ns", "ew"):
        for turns, green_s in (("sr", THROUGH_GREEN_S), ("l", LEFT_GREEN_S)):
            for duration_s, light in ((green_s, "G"), (YELLOW_S, "y")):
                lit = (light if m.leg in legs and m.turn in turns else "r" for m in _MOVEMENTS)
                yield duration_s, "".join(lit)


def _crossing_demand() -> list[str]:
    routes = {f"{m.leg}{m.exit}": [f"{m.leg}_in", f"{m.exit}_out"] for m in _MOVEMENTS}
    shares = {"s": 0.8, "r": 0.2, "l": 0.2}
    slices = [
        {
            f"{m.leg}{m.exit}": shares[m.turn] * (north_south if m.leg in "ns" else east_west)
            for m in _MOVEMENTS
        }
        for north_south, east_west in zip(HEAVY_TO_LIGHT_VEH_H, LIGHT_TO_HEAVY_VEH_H, strict=True)
    ]
    return _demand(routes, slices)


# --- grid2x2 --------------------------------------------------------------------------------

_BLOCK_M = 200
_STRAIGHT_VEH_H = (220, 280, 340, 340, 280, 220)
"""Vehicles an hour from each of the eight entries that cross straight, a slice."""
_TURN_VEH_H = 45
"""The same for each of the two ways to turn at the first junction."""


def write_grid2x2(folder: Path) -> None:
    """Four junctions, 200 m apart, as ``netgenerate`` builds them."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "grid.number": 2,
        "grid.length": _BLOCK_M,
        "grid.attach-length": _BLOCK_M,
        "default.lanenumber": 2,
        "tls.set": "A0,A1,B0,B1",
        "tls.green.time": 31,
        "tls.layout": "opposites",
        "no-turnarounds": "true",
    }
    (folder / "grid2x2.net.xml").write_text(_network("netgenerate", {"grid": "true", **options}))
    routes = dict(_grid_routes())
    slices = [
        {name: straight if name.endswith("s") else _TURN_VEH_H for name in routes}
        for straight in _STRAIGHT_VEH_H
    ]
    (folder / "grid2x2.rou.xml").write_text(_xml("routes", _demand(routes, slices)))
    _write_config(folder, "grid2x2")


def _grid_node(x: int, y: int) -> str:
    """The name ``netgenerate`` gives to a place; 0 and 1 are junctions, -1 and 2 the ends."""
    if x in (0, 1) and y in (0, 1):
        return f"{'AB'[x]}{y}"
    if x in (0, 1):
        return f"{'bottom' if y < 0 else 'top'}{x}"
    return f"{'left' if x < 0 else 'right'}{y}"


def _grid_routes() -> Iterator[tuple[str, list[str]]]:
    """From each entry: straight on, and left or right at the first junction, then straight."""
    entries = [((-1, i), (1, 0)) for i in (0, 1)] + [((2, i), (-1, 0)) for i in (0, 1)]
    entries += [((i, -1), (0, 1)) for i in (0, 1)] + [((i, 2), (0, -1)) for i in (0, 1)]
    for (x0, y0), (dx, dy) in entries:
        for turn, (tx, ty) in {"s": (dx, dy), "l": (-dy, dx), "r": (dy, -dx)}.items():
            x, y = x0 + dx, y0 + dy
            edges = [_grid_node(x0, y0) + _grid_node(x, y)]
            while x in (0, 1) and y in (0, 1):
                edges.append(_grid_node(x, y) + _grid_node(x + tx, y + ty))
                x, y = x + tx, y + ty
            yield f"{_grid_node(x0, y0)}_{turn}", edges


# --- both -----------------------------------------------------------------------------------


def _demand(
    routes: Mapping[str, Sequence[str]], slices: Sequence[Mapping[str, float]]
) -> list[str]:
    """Poisson flows: each route's vehicles an hour in each slice of time."""
    lines = ['<vType id="car"/>']
    lines += [f'<route id="{name}" edges="{" ".join(edges)}"/>' for name, edges in routes.items()]
    lines += [
        f'<flow id="{name}.{i}" type="car" route="{name}" begin="{i * SLICE_S}" '
        f'end="{(i + 1) * SLICE_S}" period="exp({veh_h / HOUR_S:.5f})" '
        'departLane="best" departSpeed="max"/>'
        for i, rates in enumerate(slices)
        for name, veh_h in rates.items()
    ]
    return lines


def _write_config(folder: Path, name: str) -> None:
    lines = [
        f'<net-file value="{name}.net.xml"/>',
        f'<route-files value="{name}.rou.xml"/>',
        '<begin value="0"/>',
        f'<end value="{HOUR_S}"/>',
        '<time-to-teleport value="-1"/>',
    ]
    (folder / f"{name}.sumocfg").write_text(_xml("configuration", lines))


def _xml(root: str, lines: Sequence[str]) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>\n{body}</{root}>\n'


def _netconvert(plain: Mapping[str, str]) -> str:
    """The network that ``netconvert`` makes of plain XML, by the kind of each file."""
    options = {
        "nod": "node-files",
        "edg": "edge-files",
        "con": "connection-files",
        "tll": "tllogic-files",
    }
    with tempfile.TemporaryDirectory() as temporary:
        files = {kind: Path(temporary) / f"plain.{kind}.xml" for kind in plain}
        for kind, file in files.items():
            file.write_text(plain[kind])
        inputs: dict[str, object] = {options[kind]: file for kind, file in files.items()}
        return _network("netconvert", {**inputs, "no-turnarounds": "true"})


def _network(program: str, options: Mapping[str, object]) -> str:
    """Runs a network builder; without its header, which holds the time and its options."""
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "out.net.xml"
        arguments = [f"--{name}={value}" for name, value in options.items()]
        subprocess.run(  # fixed program of an installed package
            [_sumo_home() / "bin" / program, *arguments, f"--output-file={output}"],
            check=True,
            env={"SUMO_HOME": str(_sumo_home())},
            stdout=subprocess.DEVNULL,
        )
        return re.sub(r"\n*<!--.*?-->\n*", "\n", output.read_text(), flags=re.DOTALL)


def _sumo_home() -> Path:
    spec = importlib.util.find_spec("sumo")
    if spec is None or spec.origin is None:
        raise SystemExit("SUMO's programs are missing: pip install eclipse-sumo==1.28.0")
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
