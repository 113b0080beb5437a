"""Which options of a user's configuration are kept, left out and refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_workers.scenarios.options import (
    FILE_OPTIONS,
    NOWHERE,
    OUTPUT_OPTIONS,
    SYNONYMS,
    is_kept,
    is_left_out,
    why_refused,
)
from sim_workers.scenarios.scenario import load_scenario
from tests.unit.sim_workers.small_scenarios import options_of, refusal, write_config


@pytest.mark.parametrize(
    "option",
    [
        "summary-output",
        "tripinfo-output",
        "tripinfo-output.write-unfinished",
        "fcd-output",
        "device.rerouting.output",
        "device.rerouting.threads",
        "remote-port",
        "num-clients",
        "save-state.times",
        "save-state.files",
        "fcd-output.filter-edges.input-file",
        "edgedata-files",
        "device.toc.file",
        "device.taxi.dispatch-algorithm.output",
        "pedestrian.jupedsim.py",
        "output-prefix",
        "log",
        "message-log",
        "gui-settings-file",
        "netstate-dump",
        "edgedata-output",
        "meso-junction-control",
        "xml-validation",
        "threads",
    ],
)
def test_options_that_write_listen_or_draw_pictures_are_left_out_and_reported(
    option: str, tmp_path: Path
) -> None:
    """They move no vehicle and draw no number; the user is told."""
    scenario = load_scenario(write_config(tmp_path, f'<output><{option} value="x"/></output>'))
    assert option in scenario.dropped_options
    assert option not in options_of(scenario)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("step-length", "0.5"),
        ("scale", "1.5"),
        ("time-to-teleport", "120"),
        ("time-to-teleport.highways", "9"),
        ("end", "600"),
        ("thread-rngs", "3"),
        ("random-depart-offset", "9"),
        ("max-num-teleports", "5"),
        ("tls.actuated.jam-threshold", "30"),
        ("emissions.volumetric-fuel", "true"),
        ("person-device.rerouting.period", "3"),
    ],
)
def test_options_that_move_or_draw_are_kept_as_they_are(
    option: str, value: str, tmp_path: Path
) -> None:
    """They reach the configuration and are not reported as left out."""
    scenario = load_scenario(write_config(tmp_path, f'<{option} value="{value}"/>'))
    assert options_of(scenario)[option] == value
    assert scenario.dropped_options == ()


@pytest.mark.parametrize("device", ["fcd", "ssm", "tripinfo", "emissions", "battery", "rerouting"])
def test_shares_of_devices_are_kept_and_their_outputs_are_not(device: str, tmp_path: Path) -> None:
    """A device that only writes draws, too, whether a vehicle has it."""
    options = f'<device.{device}.probability value="0.3"/><fcd-output value="out.xml"/>'
    scenario = load_scenario(write_config(tmp_path, options))
    assert options_of(scenario)[f"device.{device}.probability"] == "0.3"
    assert scenario.dropped_options == ("fcd-output",)


def test_devices_write_nowhere(tmp_path: Path) -> None:
    """One that its vehicle's type asks for, without a file, would write where SUMO was started."""
    assert options_of(load_scenario(write_config(tmp_path)))["device.ssm.file"] == NOWHERE
    named = load_scenario(write_config(tmp_path, '<device.ssm.file value="ssm.xml"/>'))
    assert options_of(named)["device.ssm.file"] == NOWHERE


def test_device_that_demands_an_output_has_one_that_leads_nowhere(tmp_path: Path) -> None:
    """SUMO refuses a share of the device vehroute without its output."""
    options = '<device.vehroute.probability value="0.5"/><vehroute-output value="r.xml"/>'
    assert options_of(load_scenario(write_config(tmp_path, options)))["vehroute-output"] == NOWHERE
    assert "vehroute-output" not in options_of(load_scenario(write_config(tmp_path)))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("load-state", "state.xml"),
        ("load-state.offset", "100"),
        ("configuration-file", "other.sumocfg"),
        ("astar.all-distances", "all.txt"),
        ("astar.landmark-distances", "some.csv"),
        ("device.fcd-replay.files", "fcd.xml"),
        ("pedestrian.model", "remote"),
        ("step-length", "0.3"),
        ("step-length", "2"),
        ("step-length", "0"),
        ("python-script", "evil.py"),
        ("max-speed-of-light", "3"),
    ],
)
def test_what_cannot_be_kept_nor_left_out_is_refused_by_name(
    option: str, value: str, tmp_path: Path
) -> None:
    """It is never left out in silence; an option that nobody knows neither."""
    error = refusal(write_config(tmp_path, f'<{option} value="{value}"/>'))
    assert error.code == "unsupported_input"
    assert option in error.message


def test_mesoscopic_run_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """It has no lanes to queue on; that the other model is another simulation is said, too."""
    error = refusal(write_config(tmp_path, '<mesosim value="true"/>'))
    assert error.code == "unsupported_input"
    assert "set it to false" in error.message
    assert "a different simulation" in error.message


@pytest.mark.parametrize("value", ["", "false", "0", "off"])
def test_options_that_are_off_are_neither_refused_nor_reported(value: str, tmp_path: Path) -> None:
    """Leaving them out changes nothing."""
    options = "".join(
        f'<{option} value="{value}"/>'
        for option in ("random", "mesosim", "load-state", "python-script", "verbose")
    )
    assert load_scenario(write_config(tmp_path, options)).dropped_options == ()


def test_run_has_the_seed_that_it_is_given(tmp_path: Path) -> None:
    """``random`` is overridden, in the original as well, or nothing could be compared with it."""
    scenario = load_scenario(write_config(tmp_path, '<random value="true"/><seed value="42"/>'))
    assert not {"random", "seed"} & options_of(scenario).keys()
    assert scenario.seed == 42
    assert scenario.dropped_options == ()
    assert scenario.original is not None
    given_beside = " ".join(scenario.original.arguments("o"))
    assert "--random false" in given_beside


def test_vehicles_do_not_teleport_where_the_configuration_is_silent(tmp_path: Path) -> None:
    """A queue that teleports away would be rewarded; the original is run so, too."""
    scenario = load_scenario(write_config(tmp_path))
    assert options_of(scenario)["time-to-teleport"] == "-1"
    assert scenario.time_to_teleport_s == -1
    assert scenario.original is not None
    assert "--time-to-teleport -1" in " ".join(scenario.original.arguments("o"))


def test_teleporting_that_the_configuration_asks_for_is_kept(tmp_path: Path) -> None:
    """And nothing is given beside it."""
    scenario = load_scenario(write_config(tmp_path, '<time-to-teleport value="0:05:00"/>'))
    assert scenario.time_to_teleport_s == 300
    assert scenario.original is not None
    assert scenario.original.given == ()


@pytest.mark.parametrize(
    ("synonym", "option"),
    [
        ("device.routing.period", "device.rerouting.period"),
        ("carfollow.model", "default.carfollowmodel"),
        ("s", "route-steps"),
    ],
)
def test_other_names_of_options_are_understood(synonym: str, option: str, tmp_path: Path) -> None:
    """SUMO has short and old names for some."""
    scenario = load_scenario(write_config(tmp_path, f'<{synonym} value="7"/>'))
    assert options_of(scenario)[option] == "7"


def test_option_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """Under two names, too."""
    error = refusal(write_config(tmp_path, '<b value="1"/><begin value="2"/>'))
    assert error.code == "bad_scenario"
    assert "begin" in error.message


@given(st.text("abcdefghijklmnopqrstuvwxyz-", max_size=30))
def test_outputs_are_never_kept(option: str) -> None:
    """Whatever is said of how they are done."""
    assert not is_kept(f"save-state.{option}")
    assert not is_kept(f"fcd-output.{option}")


def test_no_option_is_in_two_classes() -> None:
    """Outputs and what is refused are not kept, nor are files, which are copied into the bundle."""
    synonyms = {option for option, name in SYNONYMS.items() if name in FILE_OPTIONS}
    assert not any(is_kept(option) for option in synonyms.union(FILE_OPTIONS, OUTPUT_OPTIONS))
    assert all(is_left_out(option) for option in OUTPUT_OPTIONS)
    assert not any(why_refused(option, "x") for option in OUTPUT_OPTIONS)
