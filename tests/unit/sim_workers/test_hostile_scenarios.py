"""Scenarios that strangers made: files they must not read, outputs they must not make."""

import gzip
from pathlib import Path

import pytest

from shared.errors import ScenarioError
from sim_workers.scenarios.scenario import CONFIG_NAME, Scenario, load_bundle, load_scenario

_NET = "<net><edge id='e'/></net>"
_BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
_OUTER = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle, beside which lies something that is nobody's business."""
    (tmp_path / "secret.xml").write_text("<routes><vehicle id='secret' depart='0'/></routes>")
    inside = tmp_path / "bundle"
    inside.mkdir()
    (inside / "town.net.xml").write_text(_NET)
    return inside


def load(folder: Path, options: str = "", **files: str | bytes) -> Scenario:
    """The scenario of a bundle with these options and files, ``a_add_xml`` being ``a.add.xml``."""
    for file, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / file.replace("_", ".")).write_bytes(data)
    net = "" if "net-file" in options else '<net-file value="town.net.xml"/>'
    (folder / "town.sumocfg").write_text(f"<configuration>{net}{options}</configuration>")
    return load_scenario(folder / "town.sumocfg", within=folder)


def refusal(folder: Path, options: str = "", **files: str | bytes) -> str:
    """The code with which it is refused."""
    with pytest.raises(ScenarioError) as refused:
        load(folder, options, **files)
    assert "secret'" not in refused.value.message, "no content may be told"
    return refused.value.code


PATHS = ["/etc/passwd", "../secret.xml", "x/../../secret.xml", "./../bundle/../secret.xml"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("option", ["net-file", "route-files", "additional-files", "weight-files"])
def test_option_cannot_name_a_file_elsewhere(folder: Path, option: str, path: str) -> None:
    """Neither alone nor behind others."""
    assert refusal(folder, f'<{option} value="{path}"/>') == "outside_bundle"
    assert refusal(folder, f'<{option} value="town.net.xml,{path}"/>') == "outside_bundle"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "element",
    [
        '<include href="{}"/>',
        '<edgeData id="d" edgesFile="{}"/>',
        '<rerouter id="r" file="{}"/>',
        '<variableSpeedSign id="v" file="{}"/>',
        '<calibrator id="c" file="{}"/>',
    ],
)
def test_file_cannot_include_one_elsewhere(folder: Path, element: str, path: str) -> None:
    """Nor can one that it includes. SUMO would tell the first line of a list of edges."""
    code = "unsupported_input" if path.startswith("/") else "outside_bundle"
    add = '<additional-files value="a.add.xml"/>'
    more = f"<additional>{element.format(path)}</additional>"
    assert refusal(folder, add, a_add_xml=more) == code
    nested = '<additional><include href="b.add.xml"/></additional>'
    assert refusal(folder, add, a_add_xml=nested, b_add_xml=more) == code


def test_link_in_a_bundle_leads_nowhere(folder: Path) -> None:
    """Even if one came in."""
    (folder / "link.rou.xml").symlink_to(folder.parent / "secret.xml")
    assert refusal(folder, '<route-files value="link.rou.xml"/>') == "outside_bundle"
    (folder / "deep").symlink_to(folder.parent)
    assert refusal(folder, '<route-files value="deep/secret.xml"/>') == "outside_bundle"


def test_other_folders_of_the_bundle_are_fine(folder: Path) -> None:
    """Upwards too, as long as it stays within."""
    (folder / "nets").mkdir()
    (folder / "cfg").mkdir()
    (folder / "nets" / "n.net.xml").write_text(_NET)
    config = folder / "cfg" / "town.sumocfg"
    config.write_text('<configuration><net-file value="../nets/n.net.xml"/></configuration>')
    assert load_scenario(config, within=folder).name == "town"


_DTD = '<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">'


@pytest.mark.parametrize("head", [_BOMB, _OUTER, _DTD])
@pytest.mark.parametrize("place", ["net", "route", "additional", "weight", "gzipped", "config"])
def test_entities_are_refused_everywhere(folder: Path, head: str, place: str) -> None:
    """In the configuration and in each kind of file, packed or not."""
    use = "x" if head is _DTD else "&a;"
    content = f"{head}<routes><vehicle id='{use}' depart='0'/></routes>"
    option = {"net": "net-file", "weight": "weight-files", "additional": "additional-files"}
    if place == "config":
        (folder / "town.sumocfg").write_text(
            f"{head}<configuration><net-file value='town.net.xml'/></configuration>"
        )
        with pytest.raises(ScenarioError) as refused:
            load_scenario(folder / "town.sumocfg", within=folder)
        assert refused.value.code == "bad_xml"
        return
    packed = gzip.compress(content.encode()) if place == "gzipped" else content.encode()
    options = f'<{option.get(place, "route-files")} value="evil.xml"/>'
    assert refusal(folder, options, evil_xml=packed) == "bad_xml"


@pytest.mark.parametrize(
    "option",
    [
        '<tripinfo-output value="/var/lib/ledger.sqlite"/>',
        '<log value="/tmp/x"/>',
        '<remote-port value="8813"/>',
        '<save-state.files value="/tmp/x"/>',
        '<device.rerouting.output value="/tmp/x"/>',
        '<device.taxi.dispatch-algorithm.output value="/tmp/x"/>',
        '<gui-settings-file value="/etc/passwd"/>',
        '<xml-validation value="always"/>',
        '<output-prefix value="/tmp/"/>',
    ],
)
def test_option_that_writes_or_listens_is_left_out(folder: Path, option: str) -> None:
    """And told."""
    scenario = load(folder, option)
    name = option.split()[0].lstrip("<")
    assert name in scenario.dropped_options
    assert not any(name.encode() in content for content in scenario.files.values())


def test_devices_write_nowhere(folder: Path) -> None:
    """Wherever they were told to."""
    scenario = load(folder, '<device.ssm.file value="/tmp/x"/>')
    assert b'<device.ssm.file value="/dev/null"/>' in scenario.files[CONFIG_NAME]


@pytest.mark.parametrize("option", ["python-script", "configuration-file", "no-such-option"])
def test_option_that_reads_or_runs_something_else_is_refused(folder: Path, option: str) -> None:
    """Or that nobody knows."""
    assert refusal(folder, f'<{option} value="/etc/passwd"/>') == "unsupported_input"


def test_saved_state_is_no_input(folder: Path) -> None:
    """Of a configuration."""
    assert refusal(folder, '<load-state value="/etc/passwd"/>') == "unsupported_input"


@pytest.mark.parametrize("param", ["device.ssm.file", "device.toc.file"])
def test_parameter_that_names_a_file_leads_nowhere(folder: Path, param: str) -> None:
    """And is listed."""
    types = f'<routes><vType id="t"><param key="{param}" value="/tmp/x"/></vType></routes>'
    scenario = load(folder, '<route-files value="a.rou.xml"/>', a_rou_xml=types)
    expected = types.replace("/tmp/x", "/dev/null").encode()
    assert scenario.files["demand0.rou.xml"] == expected
    assert len(scenario.replaced_outputs) == 1


@pytest.mark.parametrize(
    "param", ["device.ssm.filter-edges.input-file", "device.rerouting.output", "file", "SWARMLOG"]
)
def test_parameter_that_nobody_knows_to_be_harmless_is_refused(folder: Path, param: str) -> None:
    """By its name."""
    types = f'<routes><vType id="t"><param key="{param}" value="/tmp/x"/></vType></routes>'
    if param == "SWARMLOG":
        types = types.replace("vType", "tlLogic").replace("<tlLogic", '<tlLogic type="swarm"')
    assert refusal(folder, '<route-files value="a.rou.xml"/>', a_rou_xml=types) == "writes_files"


def test_unknown_attribute_that_names_a_file_is_refused(folder: Path) -> None:
    """Nobody knows what a later SUMO reads."""
    out = '<additional><newThing dataFile="/etc/passwd"/></additional>'
    add = '<additional-files value="a.add.xml"/>'
    assert refusal(folder, add, a_add_xml=out) == "unsupported_input"


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    """A scenario as a dataset has it."""
    flows = "<routes><flow id='f' begin='0' end='9'/></routes>"
    load(folder, '<route-files value="a.rou.xml"/>', a_rou_xml=flows).write(tmp_path / "written")
    return tmp_path / "written"


def test_bundle_is_taken_to_the_byte(folder: Path, bundle: Path) -> None:
    """So that the scenario keeps its id."""
    original = load_scenario(folder / "town.sumocfg", within=folder)
    assert load_bundle(bundle, "town").scenario_id == original.scenario_id


@pytest.mark.parametrize("name", ["", "../town", "a/b", "a b", ".town", "x" * 81, "town\n"])
def test_name_of_a_bundle_is_safe(bundle: Path, name: str) -> None:
    """It stands in file names and in URLs."""
    with pytest.raises(ScenarioError) as refused:
        load_bundle(bundle, name)
    assert refused.value.code == "bad_bundle"


@pytest.mark.parametrize(
    "option",
    [
        '<tripinfo-output value="x"/>',
        '<route-files value="../secret.xml"/>',
        '<route-files value="/etc/passwd"/>',
        '<load-state value="x"/>',
        '<random value="true"/>',
        '<seed value="3"/>',
        '<scale value="${HOME}"/>',
        "<!-- -->",
    ],
)
def test_bundle_that_was_changed_is_refused(bundle: Path, option: str) -> None:
    """Whatever was put into its configuration."""
    path = bundle / CONFIG_NAME
    path.write_text(path.read_text().replace("</config", f"    {option}\n</config"))
    with pytest.raises(ScenarioError):
        load_bundle(bundle, "town")


@pytest.mark.parametrize(
    "content",
    [
        b"<routes><vType id='t'><param key='device.ssm.file' value='x'/></vType></routes>",
        b"<routes><include href='../secret.xml'/></routes>",
        b"<routes><e1Detector id='d' file='/tmp/x'/></routes>",
        b"<?xml version='1.0' encoding='utf-8'?>\n<additional><edgeData file='x'/></additional>",
    ],
)
def test_bundle_with_other_inputs_is_refused(bundle: Path, content: bytes) -> None:
    """Its files are those that :func:`load_scenario` writes, and no others."""
    (bundle / "demand0.rou.xml").write_bytes(content)
    with pytest.raises(ScenarioError):
        load_bundle(bundle, "town")


def test_bundle_with_more_or_fewer_files_is_refused(bundle: Path) -> None:
    """Each is part of its id."""
    (bundle / "more.xml").write_text("<routes/>")
    with pytest.raises(ScenarioError, match="files"):
        load_bundle(bundle, "town")
    (bundle / "more.xml").unlink()
    (bundle / "demand0.rou.xml").unlink()
    with pytest.raises(ScenarioError):
        load_bundle(bundle, "town")
