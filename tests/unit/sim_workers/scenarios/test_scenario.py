"""Scenarios as a whole: what a user's configuration becomes, and what the original is run with."""

import re
from pathlib import Path

import pytest

from sim_workers.scenarios.options import FILE_OPTIONS, NOWHERE
from sim_workers.scenarios.scenario import (
    CONFIG_NAME,
    load_bundle,
    load_scenario,
    sumo_arguments,
    write_files,
)
from tests.unit.sim_workers.small_scenarios import (
    FLOWS,
    NET,
    TRIPS,
    options_of,
    refusal,
    write_config,
)

_ROUTES = '<route-files value="town.rou.xml"/>'


@pytest.mark.parametrize("option", ["route-files", "additional-files", "r", "a", "weights"])
def test_missing_input_file_is_named(option: str, tmp_path: Path) -> None:
    """A configuration that names a file which is not there is refused with that file's name."""
    error = refusal(write_config(tmp_path, f'<{option} value="absent.xml"/>'))
    assert error.code == "missing_file"
    assert "absent.xml" in error.message


@pytest.mark.parametrize("demand", [TRIPS, FLOWS])
def test_route_files_stay_route_files_in_their_order(demand: str, tmp_path: Path) -> None:
    """Whatever draws in them: SUMO reads additional files otherwise."""
    options = '<route-files value="b.rou.xml, a.rou.xml"/><additional-files value="c.add.xml"/>'
    scenario = load_scenario(
        write_config(tmp_path, options, a_rou_xml=TRIPS, b_rou_xml=demand, c_add_xml=FLOWS)
    )
    assert options_of(scenario)["route-files"] == "demand0.rou.xml,demand1.rou.xml"
    assert options_of(scenario)["additional-files"] == "additional0.add.xml"
    assert scenario.files["demand0.rou.xml"] == demand.encode()
    assert scenario.files["demand1.rou.xml"] == TRIPS.encode()
    assert scenario.files["additional0.add.xml"] == FLOWS.encode()


@pytest.mark.parametrize("option", ["weight-files", "w", "weights"])
def test_weights_become_part_of_the_bundle(option: str, tmp_path: Path) -> None:
    """Travel times by which vehicles are routed."""
    weights = "<meandata><interval begin='0' end='9'/></meandata>"
    options = f'<{option} value="times.xml"/><x value="cost"/>'
    scenario = load_scenario(write_config(tmp_path, options, times_xml=weights))
    assert scenario.files["weights0.xml"] == weights.encode()
    assert options_of(scenario)["weight-files"] == "weights0.xml"
    assert options_of(scenario)["weight-attribute"] == "cost"


def test_names_are_unescaped_as_sumo_does(tmp_path: Path) -> None:
    """``%20`` is a space."""
    (tmp_path / "my town.rou.xml").write_text(TRIPS)
    config = write_config(tmp_path, '<route-files value="my%20town.rou.xml"/>')
    scenario = load_scenario(config)
    assert scenario.files["demand0.rou.xml"] == TRIPS.encode()
    assert scenario.original is not None
    assert scenario.original.files["my town.rou.xml"] == TRIPS.encode()


def test_seed_is_remembered_and_given_when_a_run_starts(tmp_path: Path) -> None:
    """It is no part of the bundle; the end is."""
    scenario = load_scenario(write_config(tmp_path, '<seed value="42"/><end value="0:10:00"/>'))
    assert (scenario.seed, scenario.end_s) == (42, 600)
    assert options_of(scenario)["end"] == "0:10:00"
    assert "seed" not in options_of(scenario)


def test_another_begin_can_be_asked_for(tmp_path: Path) -> None:
    """It replaces the configuration's, in the original as well, and makes another scenario."""
    config = write_config(tmp_path, '<begin value="7:00:00"/>')
    scenario = load_scenario(config, begin_s=100)
    assert scenario.begin_s == 100
    assert options_of(scenario)["begin"] == "100.00"
    assert scenario.scenario_id != load_scenario(config).scenario_id
    assert scenario.original is not None
    assert "--begin 100.00" in " ".join(scenario.original.arguments("o"))


def test_original_is_untouched_and_writes_nothing(tmp_path: Path) -> None:
    """Its own bytes under its own names; outputs are told by arguments to go nowhere."""
    loud = '<additional><!-- mine --><e1Detector id="d" file="out.xml"/></additional>'
    options = '<additional-files value="a.add.xml"/><tripinfo-output value="trips.xml"/>'
    config = write_config(tmp_path, options, a_add_xml=loud)
    original = load_scenario(config).original
    assert original is not None
    assert original.files == {
        "town.sumocfg": config.read_bytes(),
        "town.net.xml": NET.encode(),
        "a.add.xml": loud.encode(),
    }
    assert original.arguments("original") == (
        *("-c", "original/town.sumocfg", "--time-to-teleport", "-1"),
        *("--tripinfo-output", NOWHERE),
        *("--device.ssm.file", NOWHERE),
    )


def test_files_in_several_folders_keep_their_places(tmp_path: Path) -> None:
    """So that what the configuration says of them holds in a copy."""
    for name in ("nets", "runs/today"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "nets" / "n.net.xml").write_text(NET)
    config = tmp_path / "runs" / "today" / "town.sumocfg"
    config.write_text('<configuration><net-file value="../../nets/n.net.xml"/></configuration>')
    original = load_scenario(config).original
    assert original is not None
    assert set(original.files) == {"nets/n.net.xml", "runs/today/town.sumocfg"}
    assert original.given == ("--time-to-teleport", "-1")
    write_files(tmp_path / "copy", original.files)
    copied = load_scenario(tmp_path / "copy" / original.config)
    assert copied.scenario_id == load_scenario(config).scenario_id


def test_absolute_paths_are_given_anew_where_the_copy_lies(tmp_path: Path) -> None:
    """The untouched configuration would name the user's own files."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.rou.xml").write_text(TRIPS)
    here = tmp_path / "here"
    here.mkdir()
    options = f'<route-files value="{elsewhere}/a.rou.xml,town.rou.xml"/>'
    original = load_scenario(write_config(here, options, town_rou_xml=FLOWS)).original
    assert original is not None
    arguments = original.arguments("copy")
    named = arguments[arguments.index("--route-files") + 1]
    assert named == "copy/elsewhere/a.rou.xml,copy/here/town.rou.xml"
    assert str(tmp_path) not in " ".join(arguments)


def test_id_depends_on_content_alone(tmp_path: Path) -> None:
    """The same content elsewhere has the same id; other content, a comment even, has another."""
    ids = []
    for name, demand in {"here": TRIPS, "there": TRIPS, "other": f"{TRIPS}<!-- -->"}.items():
        folder = tmp_path / name
        folder.mkdir()
        scenario = load_scenario(write_config(folder, _ROUTES, town_rou_xml=demand))
        ids.append(scenario.scenario_id)
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch(r"town-[0-9a-f]{12}", ids[0])


def test_id_depends_on_kept_options_only(tmp_path: Path) -> None:
    """An output that is left out makes no other scenario; a scale does."""
    plain = load_scenario(write_config(tmp_path)).scenario_id
    silent = write_config(tmp_path, '<summary-output value="x"/><seed value="3"/>')
    assert load_scenario(silent).scenario_id == plain
    assert load_scenario(write_config(tmp_path, '<scale value="2"/>')).scenario_id != plain


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("town.sumocfg", "town"),
        ("my town (2).sumocfg", "my-town-2"),
        ("Köln@7.sumocfg", "K-ln-7"),
        ("--help.sumocfg", "help"),
        ("..sumocfg", "scenario"),
        (f"{'x' * 200}.sumocfg", "x" * 80),
    ],
)
def test_names_are_safe_in_paths_and_urls(file: str, name: str, tmp_path: Path) -> None:
    """Whatever the file is called, the name is short and made of harmless characters."""
    assert load_scenario(write_config(tmp_path, name=file)).name == name


def test_bundle_is_written_with_its_configuration(tmp_path: Path) -> None:
    """Every file lies in the folder, and every file that the configuration names is there."""
    config = write_config(tmp_path, _ROUTES, town_rou_xml=FLOWS)
    scenario = load_scenario(config)
    written = scenario.write(tmp_path / "new" / "bundle")
    assert written.name == CONFIG_NAME
    assert {path.name: path.read_bytes() for path in written.parent.iterdir()} == scenario.files
    named = {
        name for option in FILE_OPTIONS for name in options_of(scenario).get(option, "").split(",")
    }
    assert named - {""} <= set(scenario.files)


@pytest.mark.parametrize(
    "options",
    [
        "",
        '<end value="600"/><random value="true"/><fcd-output value="f.xml"/>',
        '<device.vehroute.probability value="0.5"/><vehroute-output value="v.xml"/>',
        '<default.departspeed value="a &amp; &quot;b&quot;"/>',
        '<additional-files value="tree.add.xml"/>',
    ],
)
def test_bundle_is_read_back_as_it_was_written(options: str, tmp_path: Path) -> None:
    """With the same id, times and files, whatever was kept, silenced or included."""
    tree = '<additional><include href="a.xml"/></additional>'
    config = write_config(
        tmp_path,
        f"{_ROUTES}{options}",
        town_rou_xml=FLOWS,
        tree_add_xml=tree,
        a_xml='<additional><e1Detector id="d" file="o.xml"/></additional>',
    )
    scenario = load_scenario(config)
    scenario.write(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle", scenario.name)
    assert again.files == scenario.files
    assert again.scenario_id == scenario.scenario_id
    assert (again.begin_s, again.end_s) == (scenario.begin_s, scenario.end_s)
    assert again.original is None


def test_arguments_name_the_configuration_the_seed_and_the_scale() -> None:
    """This is the command with which anybody can repeat a run."""
    assert sumo_arguments("a.sumocfg", 7) == ("-c", "a.sumocfg", "--seed", "7")
    assert sumo_arguments("a.sumocfg", 7, 1.5)[-2:] == ("--scale", "1.5")
