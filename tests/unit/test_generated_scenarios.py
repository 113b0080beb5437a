"""Generated scenarios without a simulator: how they are written, kept, and made smaller."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz.scenario import (
    DEFINED,
    LAST,
    Line,
    Option,
    Part,
    Scenario,
    Settings,
    write_scenario,
)
from tests.fuzz.shrinking import shrink

_CARS = "cars.rou.xml"


def _part(feature: str, *at_s: float, file: str = _CARS) -> Part:
    lines = (Line(file, at, f'<vehicle id="{feature}{at:g}" depart="{at:g}"/>') for at in at_s)
    return Part((feature,), tuple(lines))


@pytest.fixture
def scenario() -> Scenario:
    """Three parts in two files, two options, two styles."""
    return Scenario(
        name="town",
        network=("--grid", "--lefthand"),
        network_features=("grid", "left-hand traffic"),
        settings=Settings(("A",), 3, 60, 40, 2, 10, kind="phase", policy="random"),
        parts=(
            _part("early", 1, 5, 9, 11),
            _part("late", 4, LAST, DEFINED),
            _part("stops", 7, 2, file="stops.add.xml"),
        ),
        options=(Option("end", "end", "300"), Option("scale", "scale", "1.3")),
        styles=("default namespace", "percent-encoded names"),
    )


def _written(scenario: Scenario, folder: Path) -> dict[str, str]:
    network = folder / "given.net.xml"
    network.write_text("<net/>")
    config = write_scenario(scenario, network, folder / "user")
    assert config.name == "town.sumocfg"
    return {path.name: path.read_text("utf-8") for path in (folder / "user").iterdir()}


def test_what_is_kept_of_a_scenario_gives_the_same_scenario(scenario: Scenario) -> None:
    """A case in a file is the scenario that failed."""
    assert Scenario.from_json(scenario.to_json()) == scenario


def test_route_files_are_sorted_and_additional_files_are_not(
    scenario: Scenario, tmp_path: Path
) -> None:
    """Definitions come first, and what is meant to stand out of order comes last."""
    files = _written(replace(scenario, styles=()), tmp_path)
    cars = [line.split('"')[1] for line in files[_CARS].splitlines() if "vehicle" in line]
    assert cars == ["late-1", "early1", "late4", "early5", "early9", "early11", "late1e+09"]
    assert files["stops.add.xml"].index("stops7") < files["stops.add.xml"].index("stops2")


def test_styles_change_names_and_roots(scenario: Scenario, tmp_path: Path) -> None:
    """Names with spaces stand encoded in the configuration; routes get a default namespace."""
    files = _written(scenario, tmp_path)
    assert files["my cars.rou.xml"].startswith('<routes xmlns="')
    assert files["my stops.add.xml"].startswith("<additional>")
    assert '<net-file value="my%20town.net.xml"/>' in files["town.sumocfg"]
    assert '<route-files value="my%20cars.rou.xml"/>' in files["town.sumocfg"]
    assert '<scale value="1.3"/>' in files["town.sumocfg"]


def test_features_name_all_that_a_scenario_has(scenario: Scenario) -> None:
    """Of the network, the demand, the configuration, the files, and what is asked."""
    more = replace(scenario, parts=(*scenario.parts, _part("vans", 3, file="vans.rou.xml")))
    assert more.features - scenario.features == {"vans", "several route files"}
    assert scenario.features >= {"grid", "early", "scale", "default namespace", "decisions: phase"}


def test_a_failing_scenario_is_reduced_to_what_makes_it_fail(scenario: Scenario) -> None:
    """All else goes: parts, options, styles, settings, the network's extras, half of the lines."""

    def fails(tried: Scenario) -> bool:
        times = {line.at_s for part in tried.parts for line in part.lines}
        return 9 in times and "default namespace" in tried.styles

    smallest = shrink(scenario, fails, tries=100)
    assert [line.at_s for part in smallest.parts for line in part.lines] == [9]
    assert smallest.styles == ("default namespace",)
    assert [option.name for option in smallest.options] == ["end"]
    assert (smallest.settings.kind, smallest.settings.policy) == ("extend", "program")
    assert (smallest.network, smallest.network_features) == (("--grid",), ("grid",))


def test_shrinking_stops_after_so_many_tries(scenario: Scenario) -> None:
    """What was found until then is given."""
    tried = []

    def fails(smaller: Scenario) -> bool:
        tried.append(smaller)
        return False

    assert shrink(scenario, fails, tries=5) == scenario
    assert len(tried) == 5
