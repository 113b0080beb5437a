"""Demand that a foreign state lacks: what had not been read when it was saved, and no more."""

from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring

from sim_workers.scenarios import RESTORE_CONFIG_NAME, load_scenario, read_file_options
from sim_workers.unread_demand import UnreadDemand, unread_demand

_ROUTES = """\
<routes>
    <vType id="car"/>
    <route id="r" edges="e"/>
    <flow id="past" begin="0" end="500"/>
    <trip id="triggered-past" depart="triggered"/>
    <flow id="here" begin="600" end="900"/>
    <trip id="triggered" depart="triggered"/>
    <trip id="late" depart="700.5"/>
    <trip id="known" depart="800"/>
</routes>
"""


def write_scenario(folder: Path, routes: str = _ROUTES, more: str = "") -> Path:
    """A normalised scenario with these routes."""
    folder.mkdir(parents=True)
    (folder / "t.net.xml").write_text("<net><edge id='e'/></net>")
    (folder / "t.rou.xml").write_text(routes)
    (folder / "t.sumocfg").write_text(
        '<configuration><net-file value="t.net.xml"/><route-files value="t.rou.xml"/>'
        f"{more}</configuration>"
    )
    written = folder / "written"
    load_scenario(folder / "t.sumocfg").write(written)
    return written


def ids_of(demand: UnreadDemand | None) -> list[str]:
    """What is in it, by id."""
    assert demand is not None
    return [child.attrib["id"] for text in demand.files.values() for child in fromstring(text)]


def test_what_was_unread_is_given(tmp_path: Path) -> None:
    """In its order, with the definitions, without what is in the state or has passed."""
    demand = unread_demand(write_scenario(tmp_path / "s"), 600.0, {"known", "car", "r"})
    assert ids_of(demand) == ["car", "r", "here", "triggered", "late"]


def test_state_that_has_all_demand_lacks_none(tmp_path: Path) -> None:
    """Ours have; and one of plain SUMO that was saved when all was read."""
    assert unread_demand(write_scenario(tmp_path / "s"), None, set()) is None


def test_scenario_that_reads_its_demand_again_lacks_none(tmp_path: Path) -> None:
    """Without flows and the like, a state is continued with the route files themselves."""
    trips = "<routes><trip id='a' depart='1'/><trip id='b' depart='900'/></routes>"
    assert unread_demand(write_scenario(tmp_path / "s", trips), 600.0, set()) is None


@pytest.mark.parametrize("from_s", [0.0, 1e9])
def test_all_or_nothing_may_be_unread(tmp_path: Path, from_s: float) -> None:
    """At the ends of a run."""
    found = ids_of(unread_demand(write_scenario(tmp_path / "s"), from_s, set()))
    assert ("past" in found, "late" in found) == (from_s == 0, from_s == 0)


def test_completing_scenario_is_one_of_its_own(tmp_path: Path) -> None:
    """The scenario itself is left alone."""
    scenario = write_scenario(tmp_path / "s")
    before = {path.name: path.read_bytes() for path in scenario.iterdir()}
    demand = unread_demand(scenario, 600.0, set())
    assert demand is not None
    config = demand.write(scenario, tmp_path / "completing")
    assert config == tmp_path / "completing" / RESTORE_CONFIG_NAME
    (name,) = demand.files
    assert read_file_options(config)["additional-files"] == name
    assert (tmp_path / "completing" / name).is_file()
    assert {path.name: path.read_bytes() for path in scenario.iterdir()} == before
