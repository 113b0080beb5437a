"""Configurations are read as SUMO reads them."""

from pathlib import Path

import pytest

from shared.errors import ScenarioError
from sim_workers.scenarios.config import read_configuration, render_configuration
from sim_workers.scenarios.scenario import load_scenario
from tests.unit.sim_workers.small_scenarios import (
    BOMB,
    NET,
    TRIPS,
    options_of,
    refusal,
    write_config,
)


def test_configuration_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """The message names the path that was asked for."""
    error = refusal(tmp_path / "nowhere.sumocfg")
    assert error.code == "scenario_not_found"
    assert "nowhere.sumocfg" in error.message


def test_configuration_without_network_is_refused(tmp_path: Path) -> None:
    """A scenario needs a network."""
    config = tmp_path / "x.sumocfg"
    config.write_text('<configuration><begin value="0"/></configuration>')
    assert refusal(config).code == "bad_scenario"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no XML at all",
        "<configuration><net-file value='town.net.xml'>",
        "<routes/>",
        f"{BOMB}<configuration><net-file value='&c;'/></configuration>",
        "<?xml version='1.0' encoding='martian'?><configuration/>",
        f"<configuration>{' ' * (1 << 20)}</configuration>",
    ],
)
def test_what_is_no_configuration_is_refused(content: str, tmp_path: Path) -> None:
    """Text, broken XML, other XML, entity bombs, unknown encodings and what is far too large."""
    config = tmp_path / "x.sumocfg"
    config.write_text(content)
    assert refusal(config).code == "bad_xml"


@pytest.mark.parametrize("root", ["net", "routes", "additional"])
def test_whoever_gives_an_input_file_is_told_to_write_a_configuration(
    root: str, tmp_path: Path
) -> None:
    """Many networks come without one."""
    file = tmp_path / "town.net.xml"
    file.write_text(f"<{root}/>")
    assert "name it in a .sumocfg" in refusal(file).message


def test_configuration_may_be_called_anything_and_hold_text(tmp_path: Path) -> None:
    """SUMO reads a root of any name, and values between tags."""
    (tmp_path / "town.net.xml").write_text(NET)
    config = tmp_path / "run.sumo.cfg"
    config.write_text("<c><net> town.net.xml </net><begin>90</begin></c>")
    assert load_scenario(config).begin_s == 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("25200", 25200),
        ("12.5", 12.5),
        ("7:00:00", 25200),
        ("1:30", 90),
        ("1:0:0:1", 86401),
    ],
)
def test_times_are_read_as_sumo_reads_them(value: str, seconds: float, tmp_path: Path) -> None:
    """Seconds, or days, hours, minutes and seconds between colons; kept as they are written."""
    scenario = load_scenario(
        write_config(tmp_path, f'<begin value="{value}"/><end value="{value}"/>')
    )
    assert (scenario.begin_s, scenario.end_s) == (seconds, seconds)
    assert options_of(scenario)["end"] == options_of(scenario)["begin"] == value


@pytest.mark.parametrize("option", ["begin", "end", "time-to-teleport", "step-length"])
def test_what_is_no_time_is_refused(option: str, tmp_path: Path) -> None:
    """A message says which option is unusable."""
    error = refusal(write_config(tmp_path, f'<{option} value="noon"/>'))
    assert error.code == "bad_scenario"
    assert option in error.message


def test_negative_end_is_no_end(tmp_path: Path) -> None:
    """SUMO's own default is -1."""
    assert load_scenario(write_config(tmp_path, '<end value="-1"/>')).end_s is None


@pytest.mark.parametrize("value", ['a"b', "<x/>", "$(id)", "Köln & Bonn", "../x", "a\tb"])
def test_values_are_kept_to_the_letter(value: str, tmp_path: Path) -> None:
    """Ids may stand in them; a configuration that is written says the same as the one read."""
    options = {"net-file": "n.net.xml", "default.departspeed": value}
    config = tmp_path / "x.sumocfg"
    config.write_bytes(render_configuration(options))
    assert read_configuration(config).options == options


def test_control_character_in_a_value_is_refused(tmp_path: Path) -> None:
    """No file is called so, and messages would be broken by it."""
    error = refusal(write_config(tmp_path, '<default.departspeed value="a&#127;b"/>'))
    assert error.code == "bad_scenario"


def test_variable_is_replaced_once_and_its_value_noted(tmp_path: Path) -> None:
    """From the builder's environment; one that a value left out names is not even looked up."""
    options = '<route-files value="${WHERE}.rou.xml"/><fcd-output value="${USER}/out.xml"/>'
    config = write_config(tmp_path, options, town_rou_xml=TRIPS)
    known = {"WHERE": "town", "OTHER": "not asked for"}
    scenario = load_scenario(config, environment=known)
    assert scenario.files["demand0.rou.xml"] == TRIPS.encode()
    assert scenario.original is not None
    assert scenario.original.variables == {"WHERE": "town"}
    assert "{}" not in " ".join(scenario.original.arguments("original"))
    assert "--route-files original/town.rou.xml" in " ".join(
        scenario.original.arguments("original")
    )


@pytest.mark.parametrize(
    ("value", "known", "said"),
    [
        ("${WHERE}.rou.xml", {}, "WHERE} is not set"),
        ("${WHERE}.rou.xml", {"WHERE": "${WHERE}"}, "after replacing"),
        ("${PID}.rou.xml", {"PID": "7"}, "could not be repeated"),
        ("${UTC}.rou.xml", {}, "could not be repeated"),
        ("${LOCALTIME}.rou.xml", {}, "could not be repeated"),
        ("${WHERE.rou.xml", {"WHERE": "town"}, "names a variable"),
        ("${WHERE}.rou.xml", None, "environment of this machine"),
    ],
)
def test_variable_that_cannot_be_relied_on_is_refused(
    value: str, known: dict[str, str] | None, said: str, tmp_path: Path
) -> None:
    """Unknown ones, ones in ones, ones that change, and all where none may be told."""
    config = write_config(tmp_path, f'<route-files value="{value}"/>')
    with pytest.raises(ScenarioError, match=said) as refused:
        read_configuration(config, known)
    assert refused.value.code == "unsupported_input"


def test_uploads_name_no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SUMO's words would tell what the service's environment holds."""
    monkeypatch.setenv("SECRET", "hidden")
    error = refusal(write_config(tmp_path, '<route-files value="${SECRET}"/>'), within=tmp_path)
    assert error.code == "unsupported_input"
    assert "hidden" not in error.message
