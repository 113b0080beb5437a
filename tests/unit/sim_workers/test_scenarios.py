"""Foreign SUMO configurations: what is kept, what is left out, what is refused."""

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ScenarioError
from sim_workers.scenario_options import FILE_OPTIONS, SYNONYMS, is_kept
from sim_workers.scenarios import (
    CONFIG_NAME,
    RESTORE_CONFIG_NAME,
    Scenario,
    load_scenario,
    sumo_arguments,
)

_NET = "<net><edge id='e'/></net>"
_TRIPS = "<routes><trip id='t' depart='0'/></routes>"
_FLOWS = "<routes><flow id='f' begin='0' end='9'/></routes>"
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'
)


def _write(
    folder: Path, options: str = "", name: str = "town.sumocfg", **files: str | bytes
) -> Path:
    """A configuration with a network and the given files, ``a_add_xml`` being ``a.add.xml``."""
    for file, content in {"town_net_xml": _NET, **files}.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / file.replace("_", ".")).write_bytes(data)
    config = folder / name
    config.write_text(f'<configuration><net-file value="town.net.xml"/>{options}</configuration>')
    return config


def _options(scenario: Scenario, config: str = CONFIG_NAME) -> dict[str, str]:
    text = scenario.files[config].decode()
    return dict(re.findall(r'<([\w.-]+) value="([^"]*)"/>', text))


def _refusal(config: Path) -> ScenarioError:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(config)
    return caught.value


def test_configuration_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """The message names the path that was asked for."""
    error = _refusal(tmp_path / "nowhere.sumocfg")
    assert error.code == "scenario_not_found"
    assert "nowhere.sumocfg" in error.message


@pytest.mark.parametrize("option", ["route-files", "additional-files", "r", "a"])
def test_missing_input_file_is_named(option: str, tmp_path: Path) -> None:
    """A configuration that names a file which is not there is refused with that file's name."""
    config = _write(tmp_path, f'<{option} value="absent.xml"/>')
    error = _refusal(config)
    assert error.code == "missing_file"
    assert "absent.xml" in error.message


def test_configuration_without_network_is_refused(tmp_path: Path) -> None:
    """A scenario needs a network."""
    config = tmp_path / "x.sumocfg"
    config.write_text('<configuration><begin value="0"/></configuration>')
    assert _refusal(config).code == "bad_scenario"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no XML at all",
        "<configuration><net-file value='town.net.xml'>",
        "<routes/>",
        f"{_BOMB}<configuration><net-file value='&c;'/></configuration>",
        "<?xml version='1.0' encoding='martian'?><configuration/>",
    ],
)
def test_what_is_no_configuration_is_refused(content: str, tmp_path: Path) -> None:
    """Text, broken XML, other XML, entity bombs and unknown encodings are not configurations."""
    config = tmp_path / "x.sumocfg"
    config.write_text(content)
    assert _refusal(config).code == "bad_xml"


@pytest.mark.parametrize("root", ["net", "routes", "additional"])
def test_whoever_gives_an_input_file_is_told_to_write_a_configuration(
    root: str, tmp_path: Path
) -> None:
    """Many networks come without one."""
    file = tmp_path / "town.net.xml"
    file.write_text(f"<{root}/>")
    assert "name it in a .sumocfg" in _refusal(file).message


@pytest.mark.parametrize("option", FILE_OPTIONS)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "<routes><trip",
        f"{_BOMB}<routes>&c;</routes>",
        "<!DOCTYPE x SYSTEM 'file:///etc/hostname'><routes/>",
        "<?xml version='1.0' encoding='martian'?><routes/>",
    ],
)
def test_input_files_that_are_unsafe_or_broken_are_refused(
    option: str, content: str, tmp_path: Path
) -> None:
    """Networks, demand and additional files all have to be plain, whole XML."""
    config = tmp_path / "x.sumocfg"
    (tmp_path / "bad.xml").write_text(content)
    (tmp_path / "town.net.xml").write_text(_NET)
    networks = '<net-file value="town.net.xml"/>' if option != "net-file" else ""
    config.write_text(f'<configuration>{networks}<{option} value="bad.xml"/></configuration>')
    error = _refusal(config)
    assert error.code == "bad_xml"
    assert "bad.xml" in error.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("option", FILE_OPTIONS)
def test_included_files_are_put_where_they_are_included(
    option: str, encoding: str, tmp_path: Path
) -> None:
    """In every kind of file and encoding, relative to the including file, and without outputs."""
    text = f'<?xml version="1.0" encoding="{encoding}"?><routes><include href="x/a.xml"/></routes>'
    (tmp_path / "x").mkdir()
    (tmp_path / "town.net.xml").write_text(_NET)
    (tmp_path / "more.xml").write_bytes(text.encode(encoding))
    (tmp_path / "x" / "a.xml").write_text('<additional><include href="b.xml"/></additional>')
    detector = '<e1Detector id="d" file="out.xml"/>'
    (tmp_path / "x" / "b.xml").write_text(f'<additional><vType id="deep"/>{detector}</additional>')
    config = tmp_path / "x.sumocfg"
    networks = "more.xml" if option == "net-file" else "town.net.xml"
    other = "" if option == "net-file" else f'<{option} value="more.xml"/>'
    config.write_text(f'<configuration><net-file value="{networks}"/>{other}</configuration>')
    everything = b"".join(load_scenario(config).files.values())
    assert b'<vType id="deep"' in everything
    assert b"include" not in everything
    assert b"out.xml" not in everything


def test_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    """It ends after a few levels, with a message."""
    loop = '<additional><include href="a.add.xml"/></additional>'
    config = _write(tmp_path, '<additional-files value="a.add.xml"/>', a_add_xml=loop)
    assert _refusal(config).code == "unsupported_input"


def test_included_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """As any other file that is not there."""
    broken = '<additional><include href="absent.xml"/></additional>'
    error = _refusal(_write(tmp_path, '<additional-files value="a.add.xml"/>', a_add_xml=broken))
    assert error.code == "missing_file"
    assert "absent.xml" in error.message


@pytest.mark.parametrize(
    "option",
    [
        "summary-output",
        "tripinfo-output",
        "fcd-output",
        "device.rerouting.output",
        "device.rerouting.threads",
        "remote-port",
        "num-clients",
        "python-script",
        "save-state.times",
        "save-state.files",
        "fcd-output.filter-edges.input-file",
        "edgedata-files",
        "device.toc.file",
        "device.taxi.dispatch-algorithm.output",
        "device.ssm.probability",
        "pedestrian.jupedsim.py",
        "mesosim",
        "max-num-teleports",
        "output-prefix",
        "log",
        "message-log",
        "gui-settings-file",
        "netstate-dump",
        "edgedata-output",
        "device.ssm.file",
        "random",
        "threads",
    ],
)
def test_options_that_write_listen_or_run_are_left_out_and_reported(
    option: str, tmp_path: Path
) -> None:
    """Such an option reaches neither configuration, and the user is told."""
    scenario = load_scenario(_write(tmp_path, f'<output><{option} value="x"/></output>'))
    assert option in scenario.dropped_options
    assert option not in _options(scenario)
    assert option not in _options(scenario, RESTORE_CONFIG_NAME)


def test_options_that_shape_the_traffic_are_kept(tmp_path: Path) -> None:
    """They reach both configurations and are not reported as left out."""
    given_options = {"step-length": "0.5", "scale": "1.5", "time-to-teleport": "120"}
    written = "".join(f'<{name} value="{value}"/>' for name, value in given_options.items())
    scenario = load_scenario(_write(tmp_path, written))
    assert given_options.items() <= _options(scenario).items()
    assert given_options.items() <= _options(scenario, RESTORE_CONFIG_NAME).items()
    assert scenario.dropped_options == ()


def test_vehicles_do_not_teleport_where_the_configuration_is_silent(tmp_path: Path) -> None:
    """A queue that teleports away would be rewarded."""
    assert _options(load_scenario(_write(tmp_path)))["time-to-teleport"] == "-1"


def test_seed_and_end_are_remembered_but_not_part_of_the_bundle(tmp_path: Path) -> None:
    """They belong to a run, so they are given when one starts."""
    scenario = load_scenario(_write(tmp_path, '<seed value="42"/><end value="0:10:00"/>'))
    assert (scenario.seed, scenario.end_s) == (42, 600)
    assert not {"seed", "end"} & set(_options(scenario))
    assert scenario.dropped_options == ()


@pytest.mark.parametrize("value", ["a&quot;b", "&lt;x/&gt;", "$(id)", "../x"])
def test_option_values_with_strange_characters_are_refused(value: str, tmp_path: Path) -> None:
    """A kept option is a number or a word."""
    config = _write(tmp_path, f'<default.departspeed value="{value}"/>')
    assert _refusal(config).code == "bad_scenario"


@given(st.text("abcdefghijklmnopqrstuvwxyz-", max_size=30))
def test_unknown_options_are_never_kept(option: str) -> None:
    """The list allows; it does not forbid."""
    assert not is_kept(f"{option}-output")
    assert not is_kept(f"save-state.{option}")


def test_no_option_that_names_files_is_kept_as_it_is() -> None:
    """Input files are copied into the bundle under names of our own."""
    synonyms = {option for option, name in SYNONYMS.items() if name in FILE_OPTIONS}
    assert not any(is_kept(option) for option in synonyms.union(FILE_OPTIONS))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("load-state", "state.xml"),
        ("astar.all-distances", "all.txt"),
        ("astar.landmark-distances", "some.csv"),
        ("device.fcd-replay.files", "fcd.xml"),
        ("pedestrian.model", "remote"),
        ("step-length", "0.3"),
        ("step-length", "2"),
        ("step-length", "0"),
    ],
)
def test_what_determines_the_traffic_and_cannot_be_kept_is_refused(
    option: str, value: str, tmp_path: Path
) -> None:
    """It is never left out in silence, and the message names it."""
    error = _refusal(_write(tmp_path, f'<{option} value="{value}"/>'))
    assert error.code == "unsupported_input"
    assert option in error.message


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_options_that_are_off_are_not_reported(value: str, tmp_path: Path) -> None:
    """Leaving them out changes nothing."""
    options = f'<random value="{value}"/><load-state value=""/><mesosim value="{value}"/>'
    assert load_scenario(_write(tmp_path, options)).dropped_options == ()


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
    assert _options(load_scenario(_write(tmp_path, f'<{synonym} value="7"/>')))[option] == "7"


@pytest.mark.parametrize("option", ["weight-files", "w", "weights"])
def test_weights_become_part_of_the_bundle(option: str, tmp_path: Path) -> None:
    """Travel times by which vehicles are routed; a restored simulation needs them, too."""
    weights = "<meandata><interval begin='0' end='9'/></meandata>"
    options = f'<{option} value="times.xml"/><x value="cost"/>'
    scenario = load_scenario(_write(tmp_path, options, times_xml=weights))
    assert b"interval" in scenario.files["weights0.xml"]
    for config in (CONFIG_NAME, RESTORE_CONFIG_NAME):
        assert _options(scenario, config)["weight-files"] == "weights0.xml"
        assert _options(scenario, config)["weight-attribute"] == "cost"
    assert scenario.dropped_options == ()


def test_configuration_may_be_called_anything_and_hold_text(tmp_path: Path) -> None:
    """SUMO reads a root of any name, and values between tags."""
    (tmp_path / "town.net.xml").write_text(_NET)
    config = tmp_path / "run.sumo.cfg"
    config.write_text("<c><net> town.net.xml </net><begin>90</begin></c>")
    assert load_scenario(config).begin_s == 90


def test_negative_end_is_no_end(tmp_path: Path) -> None:
    """SUMO's own default is -1."""
    assert load_scenario(_write(tmp_path, '<end value="-1"/>')).end_s is None


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
def test_begin_is_read_as_sumo_reads_times(value: str, seconds: float, tmp_path: Path) -> None:
    """Seconds, or days, hours, minutes and seconds between colons."""
    assert load_scenario(_write(tmp_path, f'<begin value="{value}"/>')).begin_s == seconds


def test_begin_that_is_no_time_is_refused(tmp_path: Path) -> None:
    """A message says which option is unusable."""
    error = _refusal(_write(tmp_path, '<begin value="noon"/>'))
    assert error.code == "bad_scenario"
    assert "begin" in error.message


def test_another_begin_can_be_asked_for(tmp_path: Path) -> None:
    """It replaces the configuration's and makes another scenario."""
    config = _write(tmp_path, '<begin value="7:00:00"/>')
    scenario = load_scenario(config, begin_s=100)
    assert scenario.begin_s == 100
    assert _options(scenario)["begin"] == "100.00"
    assert scenario.scenario_id != load_scenario(config).scenario_id


def test_detector_outputs_go_nowhere(tmp_path: Path) -> None:
    """The detectors stay, since programs may depend on them; what they write does not."""
    additional = (
        '<additional><e1Detector id="d" lane="e_0" pos="1" file="out.xml"/>'
        '<edgeData id="m" file="/tmp/edges.xml"/><timedEvent type="SaveTLSStates" dest="tls.xml"/>'
        '<calibrator id="c" output="calibrator.xml"/></additional>'
    )
    scenario = load_scenario(
        _write(tmp_path, '<additional-files value="a.add.xml"/>', a_add_xml=additional)
    )
    kept = scenario.files["additional0.add.xml"].decode()
    assert kept.count('"NUL"') == 4
    assert "out.xml" not in kept
    assert "e1Detector" in kept


@pytest.mark.parametrize("option", FILE_OPTIONS)
@pytest.mark.parametrize(
    "output",
    [
        '<e1Detector id="d" file="out.xml"/>',
        '<vType id="v"><param key="has.ssm.device" value="true"/></vType>',
        '<vType id="v"><param key="device.ssm.file" value="out.xml"/></vType>',
        '<vehicle id="v"><param key="device.toc.file" value="out.xml"/></vehicle>',
        '<tlLogic id="t"><param key="file" value="out.xml"/></tlLogic>',
    ],
)
def test_no_kind_of_file_can_make_sumo_write(option: str, output: str, tmp_path: Path) -> None:
    """SUMO accepts detectors and devices in networks and demand, too, so each file is cleaned."""
    (tmp_path / "loud.xml").write_text(f"<routes>{output}<trip id='t' depart='0'/></routes>")
    (tmp_path / "town.net.xml").write_text(_NET)
    networks = "loud.xml" if option == "net-file" else "town.net.xml"
    other = "" if option == "net-file" else f'<{option} value="loud.xml"/>'
    config = tmp_path / "x.sumocfg"
    config.write_text(f'<configuration><net-file value="{networks}"/>{other}</configuration>')
    everything = b"".join(load_scenario(config).files.values())
    assert b"out.xml" not in everything
    assert b"has.ssm.device" not in everything


def test_parameters_that_write_nothing_are_kept(tmp_path: Path) -> None:
    """An actuated program's parameters shape the traffic."""
    network = '<net><tlLogic id="t"><param key="max-gap" value="3.0"/></tlLogic></net>'
    scenario = load_scenario(_write(tmp_path, town_net_xml=network))
    assert b'key="max-gap" value="3.0"' in scenario.files["network0.net.xml"]


@pytest.mark.parametrize("tag", ["rerouter", "calibrator", "variableSpeedSign"])
def test_definitions_in_files_of_their_own_are_put_inside(tag: str, tmp_path: Path) -> None:
    """SUMO reads such a file as if its content stood in the element."""
    additional = f'<additional><{tag} id="r" edges="e" file="closed.xml"/></additional>'
    closed = '<closed><interval begin="0" end="9"/></closed>'
    scenario = load_scenario(
        _write(
            tmp_path,
            '<additional-files value="a.add.xml"/>',
            a_add_xml=additional,
            closed_xml=closed,
        )
    )
    kept = scenario.files["additional0.add.xml"].decode()
    assert f'<{tag} id="r" edges="e"><interval begin="0" end="9" /></{tag}>' in kept


def test_additional_file_that_reads_another_is_refused(tmp_path: Path) -> None:
    """What we do not know to be a definition or an output cannot be made whole."""
    additional = '<additional><novelty id="n" file="news.xml"/></additional>'
    config = _write(tmp_path, '<additional-files value="a.add.xml"/>', a_add_xml=additional)
    error = _refusal(config)
    assert error.code == "unsupported_input"
    assert "novelty" in error.message


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    """A gzipped file gives the same scenario as the plain one."""
    plain = _write(tmp_path, '<route-files value="town.rou.xml"/>', town_rou_xml=_TRIPS)
    expected = load_scenario(plain)
    packed = _write(
        tmp_path,
        '<route-files value="town.rou.xml.gz"/>',
        town_rou_xml_gz=gzip.compress(_TRIPS.encode()),
    )
    assert load_scenario(packed).scenario_id == expected.scenario_id


def test_damaged_packed_file_is_refused(tmp_path: Path) -> None:
    """Half a gzip file is named in the refusal."""
    half = gzip.compress(_TRIPS.encode() * 99)[:40]
    config = _write(tmp_path, '<route-files value="town.rou.xml.gz"/>', town_rou_xml_gz=half)
    error = _refusal(config)
    assert error.code == "bad_xml"
    assert "town.rou.xml.gz" in error.message


def test_packed_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the bound is ever unpacked."""
    monkeypatch.setattr("sim_workers.scenario_files._MAX_BYTES", 1000)
    bomb = gzip.compress(b"<routes>" + b" " * 100_000 + b"</routes>")
    config = _write(tmp_path, '<route-files value="town.rou.xml.gz"/>', town_rou_xml_gz=bomb)
    assert _refusal(config).code == "too_large"


def test_demand_without_flows_is_read_ahead(tmp_path: Path) -> None:
    """Route files stay route files, in the run and after restoring."""
    scenario = load_scenario(
        _write(tmp_path, '<route-files value="town.rou.xml"/>', town_rou_xml=_TRIPS)
    )
    assert _options(scenario)["route-files"] == "demand0.rou.xml"
    assert _options(scenario, RESTORE_CONFIG_NAME)["route-files"] == "demand0.rou.xml"


_PERSONS = "<routes><person id='p' depart='0'><walk from='e' to='e'/></person></routes>"


@pytest.mark.parametrize("drawing", [_FLOWS, _PERSONS])
def test_demand_that_draws_while_it_is_read_stands_in_the_states(
    drawing: str, tmp_path: Path
) -> None:
    """Flows and persons make all demand additional in the run, and absent after restoring."""
    scenario = load_scenario(
        _write(
            tmp_path,
            '<route-files value="a.rou.xml,b.rou.xml"/>',
            a_rou_xml=_TRIPS,
            b_rou_xml=drawing,
        )
    )
    assert _options(scenario)["additional-files"] == "demand0.rou.xml,demand1.rou.xml"
    for config in (CONFIG_NAME, RESTORE_CONFIG_NAME):
        assert "route-files" not in _options(scenario, config)
    assert "additional-files" not in _options(scenario, RESTORE_CONFIG_NAME)


_DISTRIBUTION = '<vTypeDistribution id="d"><vType id="v"/></vTypeDistribution>'


@pytest.mark.parametrize("tag", ["additional-files", "route-files"])
def test_demand_that_draws_from_distributions_stands_in_the_states(
    tag: str, tmp_path: Path
) -> None:
    """Vehicles draw their type or route while they are read, wherever the distribution is."""
    town = _TRIPS.replace("<trip", f"{_DISTRIBUTION}<trip") if tag == "route-files" else _TRIPS
    options = '<route-files value="town.rou.xml"/><additional-files value="a.add.xml"/>'
    other = _DISTRIBUTION if tag == "additional-files" else ""
    scenario = load_scenario(
        _write(tmp_path, options, town_rou_xml=town, a_add_xml=f"<additional>{other}</additional>")
    )
    assert "route-files" not in _options(scenario)
    assert _options(scenario)["additional-files"].startswith("additional0.add.xml,demand0.rou.xml")
    assert _options(scenario, RESTORE_CONFIG_NAME)["additional-files"] == "additional0.add.xml"


@pytest.mark.parametrize(
    ("options", "is_scaled", "is_in_states"),
    [
        ("", False, False),
        ("", True, True),
        ('<scale value="1.0"/>', False, False),
        ('<scale value="1.5"/>', False, True),
        ('<random-depart-offset value="0"/>', False, False),
        ('<random-depart-offset value="9"/>', False, True),
    ],
)
def test_varied_demand_stands_in_the_states(
    options: str, is_scaled: bool, is_in_states: bool, tmp_path: Path
) -> None:
    """Reading it again would multiply or shift it otherwise."""
    options += '<route-files value="town.rou.xml"/>'
    config = _write(tmp_path, options, town_rou_xml=_TRIPS)
    scenario = load_scenario(config, is_scaled=is_scaled)
    assert ("route-files" not in _options(scenario)) == is_in_states


def test_departures_in_a_state_are_not_shifted_again(tmp_path: Path) -> None:
    """The run shifts them; a restored simulation takes them as they are."""
    options = '<random-depart-offset value="9"/><route-files value="town.rou.xml"/>'
    scenario = load_scenario(_write(tmp_path, options, town_rou_xml=_TRIPS))
    assert _options(scenario)["random-depart-offset"] == "9"
    assert "random-depart-offset" not in _options(scenario, RESTORE_CONFIG_NAME)


def test_routes_of_multiplied_vehicles_get_names(tmp_path: Path) -> None:
    """SUMO forgets a vehicle's own route with the vehicle, though its clones still need it."""
    inside = '<route edges="a b"/><stop lane="a_0"/>'
    own = f'<routes><vehicle id="v" depart="0">{inside}</vehicle></routes>'
    options = '<route-files value="town.rou.xml"/>'
    config = _write(tmp_path, options, town_rou_xml=own)
    scaled = load_scenario(config, is_scaled=True).files["demand0.rou.xml"].decode()
    assert (
        '<route edges="a b" id="demand0.0" /><vehicle id="v" depart="0" route="demand0.0">'
        '<stop lane="a_0" /></vehicle>'
    ) in scaled
    assert "demand0.0" not in load_scenario(config).files["demand0.rou.xml"].decode()


@pytest.mark.parametrize("demand", [_TRIPS, _FLOWS])
def test_demand_in_additional_files_stands_in_the_states(demand: str, tmp_path: Path) -> None:
    """It need not be sorted there, so it must not become a route file; the rest stays apart."""
    child = demand.removeprefix("<routes>").removesuffix("</routes>")
    mixed = f"<additional><vType id='v'/>{child}</additional>"
    scenario = load_scenario(
        _write(tmp_path, '<additional-files value="a.add.xml"/>', a_add_xml=mixed)
    )
    names = "additional0.add.xml,demand0.rou.xml,demand1.rou.xml"
    assert _options(scenario)["additional-files"] == names
    restored = _options(scenario, RESTORE_CONFIG_NAME)
    assert restored["additional-files"] == "additional0.add.xml"
    assert "route-files" not in _options(scenario) | restored
    assert b"vType" not in scenario.files["additional0.add.xml"]


@pytest.mark.parametrize("needing", ["calibrator", "rerouter"])
def test_definitions_stay_where_infrastructure_needs_them(needing: str, tmp_path: Path) -> None:
    """A calibrator cannot be read before the routes and types that it names."""
    inside = "<routeProbReroute id='r'/>" if needing == "rerouter" else ""
    mixed = f"<additional><route id='r'/><{needing} id='k'>{inside}</{needing}></additional>"
    options = '<additional-files value="a.add.xml"/><route-files value="b.rou.xml"/>'
    config = _write(tmp_path, options, a_add_xml=mixed, b_rou_xml=_FLOWS)
    assert b'<route id="r"' in load_scenario(config).files["additional0.add.xml"]


@pytest.mark.parametrize("needing", ["calibrator", "rerouter"])
def test_flows_of_infrastructure_are_no_demand(needing: str, tmp_path: Path) -> None:
    """A calibrator's flow says what the calibrator does."""
    mixed = f"<additional><{needing} id='k'><flow begin='0'/></{needing}></additional>"
    options = '<additional-files value="a.add.xml"/><route-files value="b.rou.xml"/>'
    config = _write(tmp_path, options, a_add_xml=mixed, b_rou_xml=_TRIPS)
    assert _options(load_scenario(config))["route-files"] == "demand0.rou.xml"


def test_id_depends_on_content_alone(tmp_path: Path) -> None:
    """The same content elsewhere has the same id; other content has another."""
    here, there, other = (tmp_path / name for name in ("here", "there", "other"))
    for folder in (here, there, other):
        folder.mkdir()
    options = '<route-files value="town.rou.xml"/>'
    first = load_scenario(_write(here, options, town_rou_xml=_TRIPS))
    same = load_scenario(_write(there, options, town_rou_xml=_TRIPS))
    changed = load_scenario(_write(other, options, town_rou_xml=_TRIPS.replace("0", "1")))
    assert first.scenario_id == same.scenario_id
    assert first.scenario_id != changed.scenario_id
    assert re.fullmatch(r"town-[0-9a-f]{12}", first.scenario_id)


def test_id_depends_on_kept_options_only(tmp_path: Path) -> None:
    """An output that is left out makes no other scenario; a scale does."""
    plain = load_scenario(_write(tmp_path)).scenario_id
    assert load_scenario(_write(tmp_path, '<summary-output value="x"/>')).scenario_id == plain
    assert load_scenario(_write(tmp_path, '<scale value="2"/>')).scenario_id != plain


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
    assert load_scenario(_write(tmp_path, name=file)).name == name


def test_bundle_is_written_with_its_configuration(tmp_path: Path) -> None:
    """Every file lies in the folder, and every file that a configuration names is there."""
    scenario = load_scenario(
        _write(tmp_path, '<route-files value="town.rou.xml"/>', town_rou_xml=_FLOWS)
    )
    config = scenario.write(tmp_path / "new" / "bundle")
    assert config.name == CONFIG_NAME
    written = {path.name: path.read_bytes() for path in config.parent.iterdir()}
    assert written == scenario.files
    named = {
        name for option in FILE_OPTIONS for name in _options(scenario).get(option, "").split(",")
    }
    assert named - {""} <= set(written)


def test_arguments_name_the_configuration_and_the_seed() -> None:
    """This is the command with which anybody can repeat a run."""
    assert sumo_arguments("a.sumocfg", 7) == ("-c", "a.sumocfg", "--seed", "7")
