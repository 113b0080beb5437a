"""Input files are kept to the byte, but for names of outputs, each of which is listed."""

import gzip
from pathlib import Path

import pytest

from sim_workers.scenarios.files import read_input
from sim_workers.scenarios.options import FILE_OPTIONS
from sim_workers.scenarios.scenario import load_scenario
from tests.unit.sim_workers.small_scenarios import BOMB, NET, TRIPS, refusal, write_config

_ADD = '<additional-files value="a.add.xml"/>'
_ROUTES = '<route-files value="town.rou.xml"/>'


def _read(folder: Path, content: str | bytes) -> tuple[bytes, tuple[str, ...]]:
    """What becomes of a file, and what is said of it."""
    path = folder / "x.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_input(path)
    assert found.original == path.read_bytes()
    return found.content, found.replaced


@pytest.mark.parametrize(
    "content",
    [
        b"<routes><!-- by hand --><trip id='t' depart='0'/>\r\n\t</routes>\n\n",
        b"<routes>\n  <trip  depart = '0'\n id=\"t\" ></trip>\n</routes>",
        b'<routes xmlns="http://sumo.dlr.de/routes"><trip id="t" depart="0"/></routes>',
        b'<routes xmlns:x="u" x:noNamespaceSchemaLocation="y.xsd"><trip id="a%20b"/></routes>',
        '<?xml version="1.0" encoding="iso-8859-1"?><routes><trip id="Köln"/></routes>'.encode(
            "iso-8859-1"
        ),
        '<?xml version="1.0" encoding="utf-16"?><routes><trip id="Köln"/></routes>'.encode(
            "utf-16"
        ),
        b'\xef\xbb\xbf<routes><param key="a" value="1 &lt; 2"/></routes>',
        gzip.compress(b"<routes><trip id='t' depart='0'/></routes>", mtime=0),
    ],
)
def test_file_without_outputs_is_kept_to_the_byte(content: bytes, tmp_path: Path) -> None:
    """Comments, order, white space, quotes, namespaces, encodings; packed where it was."""
    assert _read(tmp_path, content) == (content, ())


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            '<e1Detector id="d" file="out.xml" lane="e_0"/>',
            '<e1Detector id="d" file="/dev/null" lane="e_0"/>',
            '<e1Detector "d"> file="out.xml"',
        ),
        (
            "<e1Detector file='out.xml' id='d'/>",
            "<e1Detector file='/dev/null' id='d'/>",
            '<e1Detector "d"> file="out.xml"',
        ),
        (
            "<edgeData id='file=\"a\"'\n file = '/tmp/a b.xml' />",
            "<edgeData id='file=\"a\"'\n file = '/dev/null' />",
            '<edgeData "file="a""> file="/tmp/a b.xml"',
        ),
        (
            '<timedEvent type="SaveTLSStates" dest="tls.xml"/>',
            '<timedEvent type="SaveTLSStates" dest="/dev/null"/>',
            '<timedEvent ""> dest="tls.xml"',
        ),
        (
            '<calibrator id="c" output="c.xml">\n</calibrator>',
            '<calibrator id="c" output="/dev/null">\n</calibrator>',
            '<calibrator "c"> output="c.xml"',
        ),
        (
            '<vType id="v"><param value="o.xml" key="device.ssm.file"/></vType>',
            '<vType id="v"><param value="/dev/null" key="device.ssm.file"/></vType>',
            '<param "device.ssm.file"> value="o.xml"',
        ),
        (
            '<laneData id="m" file="a&amp;b > c.xml" freq="9"/>',
            '<laneData id="m" file="/dev/null" freq="9"/>',
            '<laneData "m"> file="a&b > c.xml"',
        ),
    ],
)
def test_only_the_name_of_an_output_is_replaced_and_it_is_listed(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    """Whatever its quotes and its place; the detector stays, for programs may depend on it."""
    frame = "<additional>\n<!-- {0} -->\n{1}<e2Detector file='NUL'/></additional>\n"
    expected = frame.format('<e1Detector file="out.xml"/>', after).encode()
    given = frame.format('<e1Detector file="out.xml"/>', before)
    assert _read(tmp_path, given) == (expected, (said,))


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_outputs_are_found_behind_letters_of_any_8_bit_encoding(
    encoding: str, tmp_path: Path
) -> None:
    """Places are counted in bytes."""
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><additional><e1Detector id="Köln" '
        'file="größe.xml"/><e1Detector file="b.xml" id="ä"/></additional>'
    )
    content, replaced = _read(tmp_path, text.encode(encoding))
    expected = text.replace("größe.xml", "/dev/null").replace("b.xml", "/dev/null")
    assert content == expected.encode(encoding)
    assert replaced == ('<e1Detector "Köln"> file="größe.xml"', '<e1Detector "ä"> file="b.xml"')


def test_packed_file_with_an_output_is_unpacked(tmp_path: Path) -> None:
    """It cannot stay as it was."""
    packed = gzip.compress(b'<additional><e1Detector id="d" file="o.xml"/></additional>')
    content, _ = _read(tmp_path, packed)
    assert content == b'<additional><e1Detector id="d" file="/dev/null"/></additional>'


def test_output_in_an_encoding_that_cannot_be_changed_is_refused(tmp_path: Path) -> None:
    """Rather than written somewhere."""
    text = '<?xml version="1.0" encoding="utf-16"?><a><e1Detector id="d" file="o.xml"/></a>'
    error = refusal(write_config(tmp_path, _ADD, a_add_xml=text.encode("utf-16")))
    assert error.code == "unsupported_input"
    assert "e1Detector" in error.message


@pytest.mark.parametrize("nowhere", ["NUL", "NULL", "/dev/null", ""])
def test_output_that_leads_nowhere_already_is_left_alone(nowhere: str, tmp_path: Path) -> None:
    """And not listed."""
    content = f'<additional><e1Detector id="d" file="{nowhere}"/></additional>'
    assert _read(tmp_path, content) == (content.encode(), ())


@pytest.mark.parametrize("option", FILE_OPTIONS)
@pytest.mark.parametrize(
    "output",
    [
        '<e1Detector id="d" file="out.xml"/>',
        '<vType id="v"><param key="device.ssm.file" value="out.xml"/></vType>',
        '<vehicle id="v"><param key="device.toc.file" value="out.xml"/></vehicle>',
        '<vType id="v"><param key="SWARMLOG" value="out.xml"/></vType>',
        '<tlLogic id="t"><param key="file" value="out.xml"/></tlLogic>',
    ],
)
def test_no_kind_of_file_can_make_sumo_write(option: str, output: str, tmp_path: Path) -> None:
    """SUMO accepts detectors and devices in networks and demand, too."""
    config = write_config(tmp_path, f'<{option} value="loud.xml"/>', loud_xml=f"<a>{output}</a>")
    scenario = load_scenario(config)
    assert b"out.xml" not in b"".join(scenario.files.values())
    (said,) = scenario.replaced_outputs
    assert "out.xml" in said


@pytest.mark.parametrize(
    "param",
    [
        "has.ssm.device",
        "has.battery.device",
        "device.ssm.probability",
        "device.rerouting.deterministic",
        "max-gap",
    ],
)
def test_parameters_that_name_no_file_are_kept(param: str, tmp_path: Path) -> None:
    """They move vehicles, or draw."""
    content = f'<routes><vType id="t"><param key="{param}" value="0.5"/></vType></routes>'
    assert _read(tmp_path, content) == (content.encode(), ())


@pytest.mark.parametrize("option", FILE_OPTIONS)
@pytest.mark.parametrize(
    "content",
    [
        "",
        "<routes><trip",
        f"{BOMB}<routes>&c;</routes>",
        "<!DOCTYPE x SYSTEM 'file:///etc/hostname'><routes/>",
        "<?xml version='1.0' encoding='martian'?><routes/>",
    ],
)
def test_input_files_that_are_unsafe_or_broken_are_refused(
    option: str, content: str, tmp_path: Path
) -> None:
    """Networks, demand and additional files all have to be plain, whole XML."""
    error = refusal(write_config(tmp_path, f'<{option} value="bad.xml"/>', bad_xml=content))
    assert error.code == "bad_xml"
    assert "bad.xml" in error.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<novelty id="n" file="news.xml"/>', "novelty"),
        ('<newThing dataFile="/etc/passwd"/>', "dataFile"),
        ('<include href="/etc/passwd"/>', "absolute path"),
        ('<include href="${HOME}/a.xml"/>', "variable"),
        ('<vType id="v"><param key="device.fcd-replay.file" value="x"/></vType>', "replays"),
    ],
)
def test_what_cannot_be_followed_is_refused(content: str, said: str, tmp_path: Path) -> None:
    """Nobody knows what would be read, or would be read elsewhere."""
    config = write_config(tmp_path, _ADD, a_add_xml=f"<additional>{content}</additional>")
    error = refusal(config)
    assert error.code == "unsupported_input"
    assert said in error.message
    assert "a.add.xml" in error.message


def test_pictures_are_kept_for_nobody_opens_them(tmp_path: Path) -> None:
    """Nothing is drawn here."""
    content = '<additional><poly id="p" imgFile="house.png"/></additional>'
    assert _read(tmp_path, content) == (content.encode(), ())


def test_damaged_packed_file_is_refused(tmp_path: Path) -> None:
    """Half a gzip file is named in the refusal."""
    half = gzip.compress(TRIPS.encode() * 99)[:40]
    error = refusal(write_config(tmp_path, _ROUTES, town_rou_xml=half))
    assert error.code == "bad_xml"
    assert "town.rou.xml" in error.message


def test_packed_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than the bound is ever unpacked."""
    monkeypatch.setattr("sim_workers.scenarios.files._MAX_BYTES", 1000)
    bomb = gzip.compress(b"<routes>" + b" " * 100_000 + b"</routes>")
    assert refusal(write_config(tmp_path, _ROUTES, town_rou_xml=bomb)).code == "too_large"


@pytest.mark.parametrize("option", FILE_OPTIONS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_included_files_are_kept_where_they_are_to_each_other(
    option: str, encoding: str, tmp_path: Path
) -> None:
    """In every kind of file and encoding; what says where they are is not changed."""
    text = f'<?xml version="1.0" encoding="{encoding}"?><a><include href="x/a.xml"/></a>'
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.xml").write_text('<additional><include href="../b.xml"/></additional>')
    config = write_config(
        tmp_path,
        f'<{option} value="more.xml"/>',
        more_xml=text.encode(encoding),
        b_xml='<a><e1Detector id="d" file="out.xml"/></a>',
    )
    scenario = load_scenario(config)
    names = [name for name in scenario.files if name.endswith(("more.xml", "a.xml", "b.xml"))]
    folder = names[0].split("/")[0]
    assert sorted(names) == [f"{folder}/b.xml", f"{folder}/more.xml", f"{folder}/x/a.xml"]
    assert scenario.files[f"{folder}/more.xml"] == text.encode(encoding)
    assert b"/dev/null" in scenario.files[f"{folder}/b.xml"]
    assert f"{folder}/more.xml".encode() in scenario.files["scenario.sumocfg"]


def test_file_that_others_include_twice_is_kept_once(tmp_path: Path) -> None:
    """It is no cycle."""
    twice = '<additional><include href="b.xml"/><include href="b.xml"/></additional>'
    config = write_config(tmp_path, _ADD, a_add_xml=twice, b_xml="<additional/>")
    assert load_scenario(config).files["additional0/b.xml"] == b"<additional/>"


@pytest.mark.parametrize("back", ["a.add.xml", "./x/../a.add.xml", "b.xml"])
def test_files_that_include_each_other_without_end_are_refused(back: str, tmp_path: Path) -> None:
    """Directly, or by way of another."""
    config = write_config(
        tmp_path,
        _ADD,
        a_add_xml='<additional><include href="b.xml"/></additional>',
        b_xml=f'<additional><include href="{back}"/></additional>',
    )
    error = refusal(config)
    assert error.code == "unsupported_input"
    assert "endless loop" in error.message


def test_files_that_include_each_other_a_million_times_are_refused(tmp_path: Path) -> None:
    """Seven levels of ten each would keep SUMO busy for hours."""
    for level in range(7):
        more = f'<include href="{level + 1}.xml"/>' * 10
        (tmp_path / f"{level}.xml").write_text(f"<additional>{more}</additional>")
    (tmp_path / "7.xml").write_text("<additional/>")
    error = refusal(write_config(tmp_path, '<additional-files value="0.xml"/>'))
    assert error.code == "unsupported_input"


@pytest.mark.parametrize(
    "element",
    [
        '<include href="absent.xml"/>',
        '<edgeData id="d" file="o.xml" edgesFile="absent.xml"/>',
        '<rerouter id="r" file="absent.xml"/>',
    ],
)
def test_file_that_another_names_and_that_is_missing_is_named(element: str, tmp_path: Path) -> None:
    """As any other file that is not there."""
    broken = f"<additional>{element}</additional>"
    error = refusal(write_config(tmp_path, _ADD, a_add_xml=broken))
    assert error.code == "missing_file"
    assert "absent.xml" in error.message


@pytest.mark.parametrize("tag", ["rerouter", "calibrator", "variableSpeedSign"])
def test_definitions_in_files_of_their_own_stay_there(tag: str, tmp_path: Path) -> None:
    """Beside the file that names them, both as they are."""
    additional = f'<additional><{tag} id="r" edges="e" file="closed.xml"/></additional>'
    closed = '<closed><interval begin="0" end="9"/></closed>'
    config = write_config(tmp_path, _ADD, a_add_xml=additional, closed_xml=closed)
    files = load_scenario(config).files
    assert files["additional0/a.add.xml"] == additional.encode()
    assert files["additional0/closed.xml"] == closed.encode()


def test_list_of_edges_is_kept_though_it_is_no_xml(tmp_path: Path) -> None:
    """SUMO reads it line by line."""
    named = '<additional><edgeData id="d" edgesFile="edges.txt" file="NUL"/></additional>'
    config = write_config(tmp_path, _ADD, a_add_xml=named, edges_txt="edge:e\n")
    assert load_scenario(config).files["additional0/edges.txt"] == b"edge:e\n"


def test_network_is_kept_to_the_byte(tmp_path: Path) -> None:
    """Like any other file."""
    network = f"<!-- {'x' * 99} -->\n{NET}\n"
    scenario = load_scenario(write_config(tmp_path, town_net_xml=network))
    assert scenario.files["network0.net.xml"] == network.encode()
