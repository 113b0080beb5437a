"""The scenarios of this repository: what they hold, and that their script still writes them."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[3] / "scenarios"
FILES = sorted(p.relative_to(SCENARIOS) for p in SCENARIOS.glob("*/*") if p.suffix != ".pyc")


def _root(file: str) -> ET.Element:
    return ET.parse(SCENARIOS / file).getroot()  # noqa: S314 - our own file


def _lights(net: ET.Element, tls_id: str) -> list[str]:
    """The lights of each phase of a signal."""
    return [phase.attrib["state"] for phase in net.findall(f"tlLogic[@id='{tls_id}']/phase")]


@pytest.fixture(scope="module")
def written_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the script has just written both scenarios."""
    out = tmp_path_factory.mktemp("scenarios")
    subprocess.run(
        [sys.executable, SCENARIOS / "generate.py", "--out", out],
        check=True,
        capture_output=True,
    )
    return out


def test_scenarios_of_three_files_each_are_committed() -> None:
    """Each scenario is a network, a demand and a configuration."""
    assert [file.name for file in FILES] == [
        f"{name}.{kind}"
        for name in ("crossing", "grid2x2")
        for kind in ("net.xml", "rou.xml", "sumocfg")
    ]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_running_the_script_again_changes_no_byte(file: Path, written_again: Path) -> None:
    """What is committed is exactly what the script writes."""
    assert (written_again / file).read_bytes() == (SCENARIOS / file).read_bytes()


def test_crossing_has_four_greens_each_followed_by_its_yellow() -> None:
    """The program alternates greens and clearances, and both show the same movements."""
    lights = _lights(_root("crossing/crossing.net.xml"), "c")

    greens, yellows = lights[0::2], lights[1::2]

    assert len(greens) == 4
    assert all("G" in green and "y" not in green for green in greens)
    assert [green.replace("G", "y") for green in greens] == yellows


def test_every_left_turn_of_crossing_is_protected() -> None:
    """A left turn never shares its green with straight or right-turning traffic."""
    net = _root("crossing/crossing.net.xml")
    is_left = {
        int(link.attrib["linkIndex"]): link.attrib["dir"] == "l"
        for link in net.findall("connection[@tl='c']")
    }

    for lights in _lights(net, "c"):
        shown = {is_left[i] for i, light in enumerate(lights) if light == "G"}
        assert len(shown) <= 1
        assert "g" not in lights
    assert sum(is_left.values()) == 4


def test_every_approach_of_crossing_has_two_lanes() -> None:
    """One lane goes straight and right, one turns left."""
    net = _root("crossing/crossing.net.xml")

    approaches = [edge for edge in net.findall("edge") if edge.attrib.get("to") == "c"]

    assert len(approaches) == 4
    assert all(len(edge.findall("lane")) == 2 for edge in approaches)


def test_demand_of_crossing_swings_from_north_south_to_east_west() -> None:
    """The busier axis of the first ten minutes is the quieter one of the last."""
    flows = _root("crossing/crossing.rou.xml").findall("flow")

    def rate(begin: str, routes: set[str]) -> float:
        return sum(
            float(flow.attrib["period"].removeprefix("exp(").removesuffix(")"))
            for flow in flows
            if flow.attrib["begin"] == begin and flow.attrib["route"] in routes
        )

    north_south, east_west = {"ns", "sn"}, {"ew", "we"}
    assert rate("0", north_south) > 2 * rate("0", east_west)
    assert rate("2400", east_west) > 2 * rate("2400", north_south)


def test_grid_has_four_signals_with_two_greens_each() -> None:
    """Every junction of the grid, and nothing else, is signalised."""
    net = _root("grid2x2/grid2x2.net.xml")

    signals = [logic.attrib["id"] for logic in net.findall("tlLogic")]

    assert signals == ["A0", "A1", "B0", "B1"]
    assert all(sum("G" in lights for lights in _lights(net, s)) == 2 for s in signals)


@pytest.mark.parametrize("name", ["crossing", "grid2x2"])
def test_scenarios_last_an_hour_from_zero(name: str) -> None:
    """The configuration says when to begin and to end, and the demand covers all of it."""
    config = _root(f"{name}/{name}.sumocfg")
    flows = _root(f"{name}/{name}.rou.xml").findall("flow")

    assert [config.find(tag).attrib["value"] for tag in ("begin", "end")] == ["0", "3600"]  # type: ignore[union-attr]
    assert {int(flow.attrib["begin"]) for flow in flows} == set(range(0, 3600, 600))
