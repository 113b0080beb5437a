"""What is let through to SUMO, what is written over, and what is refused by its name."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ScenarioError
from sim_workers.scenarios.input_filter import filter_input
from sim_workers.scenarios.sumo_names import known_attributes

_SCENARIOS = Path(__file__).parents[3] / "scenarios"


def _refusal(content: str | bytes) -> ScenarioError:
    with pytest.raises(ScenarioError) as refused:
        filter_input(content if isinstance(content, bytes) else content.encode(), "x.xml")
    return refused.value


@pytest.mark.parametrize("path", sorted(_SCENARIOS.rglob("*.xml")), ids=lambda path: path.name)
def test_harmless_file_is_kept_to_the_byte(path: Path) -> None:
    """Networks and demand of our own."""
    found = filter_input(path.read_bytes())
    assert found.content == path.read_bytes()
    assert not found.replaced
    assert not found.references


def test_output_is_written_over_and_nothing_else() -> None:
    """Comments, quotes, entities of XML itself, and the order of attributes stay as they are."""
    before = (
        "<?xml version='1.0' encoding='UTF-8'?>\n<!-- file='a' -->\n<additional>\n"
        "  <e1Detector file = '/etc/x &amp; y' id='d&lt;' lane=\"a_0\" pos='1'\t/>\n"
        '  <e1Detector id="file=&quot;b&quot;" file="out.xml" lane="ä_0" pos="2"></e1Detector>\n'
        "</additional>\n"
    )
    found = filter_input(before.encode())
    expected = before.replace("/etc/x &amp; y", "/dev/null").replace("out.xml", "/dev/null")
    assert found.content == expected.encode()
    assert found.replaced == ("/etc/x & y", "out.xml")
    assert filter_input(found.content).content == found.content
    assert not filter_input(found.content).replaced


@pytest.mark.parametrize(
    "element",
    [
        '<calibrator id="a" output="x"/>',
        '<e2Detector id="a" file="x"/>',
        '<e3Detector id="a" file="x"/>',
        '<entryExitDetector id="a" file="x"/>',
        '<inductionLoop id="a" file="x"/>',
        '<instantInductionLoop id="a" file="x"/>',
        '<laneAreaDetector id="a" file="x"/>',
        '<edgeData id="a" file="x"/>',
        '<laneData id="a" file="x"/>',
        '<routeProbe id="a" file="x"/>',
        '<vTypeProbe id="a" file="x"/>',
        '<timedEvent type="SaveTLSStates" source="a" dest="x"/>',
        '<tlLogic id="a" type="actuated"><param key="file" value="x"/></tlLogic>',
        '<edgeData xmlns="urn:a" id="a" file="x"/>',
        '<ns0:b xmlns:ns0="urn:a"><edgeData id="a" file="x"/></ns0:b>',
        '<tlLogic id="a"><ns0:b xmlns:ns0="urn:a"><param key="file" value="x"/></ns0:b></tlLogic>',
    ],
)
def test_every_output_is_silenced(element: str) -> None:
    """Also where a namespace hides it from who reads names otherwise than SUMO does."""
    found = filter_input(f"<additional>{element}</additional>".encode())
    assert found.replaced == ("x",)
    assert (
        found.content
        == f"<additional>{element}</additional>".replace('"x"', '"/dev/null"').encode()
    )


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ('<tlLogic id="a" type="swarm"/>', "writes_files"),
        ('<tlLogic id="a"><param key="SWARMLOG" value="x"/></tlLogic>', "writes_files"),
        ('<tlLogic id="a"><param xmlns="u" key="SWARMLOG" value="x"/></tlLogic>', "writes_files"),
        ('<tlLogic id="a"><param key="newKey" value="x"/></tlLogic>', "unknown_parameter"),
        ('<vType id="a"><param key="device.rerouting.output" value="x"/></vType>', "writes_files"),
        ('<vType id="a"><param key="device.fcd-replay.file" value="x"/></vType>', "writes_files"),
        ('<edge id="a"><param key="someFile" value="x"/></edge>', "writes_files"),
        ('<edge id="a"><param key="device.toc.x" value="x"/></edge>', "writes_files"),
        ("<newElement/>", "unknown_element"),
        ('<edge id="a" newAttribute="x"/>', "unknown_attribute"),
        ('<edge id="a" file="x"/>', "unknown_attribute"),
        ('<edge id="a" dest="x"/>', "unknown_attribute"),
        ('<param key="a" value="b" file="c"/>', "unknown_attribute"),
        ('<include href="/etc/passwd"/>', "outside_bundle"),
        ('<include href="a/../../b.xml"/>', "outside_bundle"),
        ('<include href="${HOME}.xml"/>', "outside_bundle"),
        ('<include href="%2e%2e/b.xml"/>', "outside_bundle"),
        ('<include href="http://a/b.xml"/>', "outside_bundle"),
        ('<include href="C:/b.xml"/>', "outside_bundle"),
        ('<include href=""/>', "outside_bundle"),
        ('<variableSpeedSign id="a" file="/b.xml"/>', "outside_bundle"),
        ('<edgeData id="a" edgesFile="../b.txt"/>', "outside_bundle"),
        (
            '<edge id="a" xmlns:x="u" x:noNamespaceSchemaLocation="/etc/passwd"/>',
            "outside_bundle",
        ),
    ],
)
def test_what_cannot_be_silenced_is_refused_by_name(element: str, code: str) -> None:
    """With the line, and what it is about."""
    error = _refusal(f"<additional>\n{element}</additional>")
    assert error.code == code
    assert error.message.startswith("x.xml, line 2: ")


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><additional>&b;</additional>',
        "<!DOCTYPE additional><additional/>",
        '<?xml version="1.1"?><additional/>',
        '<?xml version="1.0" encoding="windows-1252"?><additional/>',
        '<?xml version="1.0" encoding="utf-7"?><additional/>',
        "<additional>&unknown;</additional>",
        "<additional>",
        "",
        "<routes>" * 100 + "</routes>" * 100,
        '<?xml version="1.0" encoding="utf-16"?><additional/>'.encode("utf-16"),
        "<additional/>".encode("utf-16-le"),
        b"<additional>\xff</additional>",
        gzip.compress(b"<additional/>", mtime=0),
    ],
)
def test_what_two_readers_may_read_differently_is_refused(content: str | bytes) -> None:
    """Document types, other encodings, other versions; and what is no XML at all."""
    assert _refusal(content).code == "bad_xml"


def test_references_are_told() -> None:
    """The caller looks at each of them as at this file."""
    content = (
        b'<additional><include href="b/c.add.xml"/>\n'
        b'<variableSpeedSign id="a" lanes="a_0" file="d.xml"/></additional>'
    )
    found = filter_input(content)
    assert found.content == content
    assert found.references == ("b/c.add.xml", "d.xml")


@pytest.mark.parametrize(
    "content",
    [
        '<add><ns0:flow xmlns:ns0="u" file="x" anything="y"/></add>',
        '<routes xmlns="u"><flow id="a" begin="0" end="1" number="3"/></routes>',
        '<vType id="a"><param key="has.rerouting.device" value="true"/>'
        '<param key="device.battery.capacity" value="3"/>'
        '<param key="my.own-key" value="x"/></vType>',
        '<edge id="a"><param key="origId" value="/etc/passwd"/>'
        '<param key="support" value="1"/></edge>',
        '<vehicle id="a"><param key="has.ssm.device" value="false"/></vehicle>',
        '<tlLogic id="a" type="actuated"><param key="max-gap" value="3"/>'
        '<param key="north_in_0" value="loop"/><param key="linkMaxDur:4" value="9"/></tlLogic>',
        '<tlLogic id="a" type="sotl_platoon"><param key="THRESHOLD" value="3"/></tlLogic>',
        '<e1Detector id="a" file="NUL"/>',
        '<net><metadata><duarouterConfiguration><output-file value="x"/></duarouterConfiguration>'
        "</metadata></net>",
        '<routes xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://sumo.dlr.de/xsd/routes_file.xsd"/>',
        '<?xml version="1.0" encoding="iso-8859-1"?><edge id="\xe4"/>',
        "<additional><?tool x?><![CDATA[<e1Detector file='x'/>]]></additional>",
    ],
)
def test_what_sumo_passes_over_is_kept(content: str) -> None:
    """Prefixed names, keys of one's own, the notes of tools, and what is off already."""
    encoded = content.encode("iso-8859-1")
    found = filter_input(encoded)
    assert found.content == encoded
    assert not found.replaced


def test_option_in_metadata_hides_no_element() -> None:
    """SUMO does not look where an element stands."""
    detector = '<e1Detector id="a" file="x"/>'
    found = filter_input(f"<net><metadata>{detector}</metadata></net>".encode())
    assert found.replaced
    assert _refusal('<net><metadata><new value="1" file="x"/></metadata></net>').code == (
        "unknown_element"
    )


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters='<&"', exclude_categories=["C"])),
            st.sampled_from(["'", '"']),
            st.sampled_from(["", " ", "\n\t"]),
        ),
        max_size=5,
    ),
    st.text(st.characters(exclude_categories=["C"], exclude_characters="<&]")),
)
def test_only_values_of_outputs_change(outputs: list[tuple[str, str, str]], between: str) -> None:
    """Whatever they are, however they are quoted, and wherever they stand."""

    def document(value: str | None) -> str:
        elements = [
            f"<edgeData id='é'{space} file{space}={space}{quote}"
            f"{_quoted(text, quote) if value is None or text in silent else value}"
            f"{quote}{space}/>{between}"
            for text, quote, space in outputs
        ]
        return f"<additional>{between}{''.join(elements)}</additional>"

    silent = ("", "NUL", "/dev/null")
    found = filter_input(document(None).encode())
    assert found.content.decode() == document("/dev/null")


def _quoted(text: str, quote: str) -> str:
    return text.replace(quote, "&apos;" if quote == "'" else "&quot;")


def test_long_file_is_read_in_pieces() -> None:
    """Places are right beyond the first of them."""
    filler = '<poi id="a" x="1" y="2"/>\n' * 60_000
    content = f'<additional>{filler}<routeProbe id="b" file="x"/>{filler}</additional>'.encode()
    found = filter_input(content)
    assert found.content == content.replace(b'"x"/>', b'"/dev/null"/>').replace(b'x="1"', b'x="1"')
    assert found.replaced == ("x",)


def test_known_names_hold_what_schemas_say() -> None:
    """An element that SUMO knows, with some attribute of each kind of file."""
    known = known_attributes()
    assert {"lane", "vehicle", "e1Detector", "snapshot", "rngState", "interval"} <= known.keys()
    assert {"departLane", "departSpeed", "type"} <= known["vehicle"]
    assert "xmlns" not in known["routes"]


@pytest.mark.parametrize("key", ["device.ssm.file", "device.toc.file"])
def test_outputs_of_devices_lead_nowhere(key: str) -> None:
    """Also where a namespace would hide the parameter from a reader who knows of them."""
    text = (
        f'<routes><vehicle id="a"><param xmlns="u" key="{key}" value="x.xml"/></vehicle></routes>'
    )
    found = filter_input(text.encode())
    assert found.content == text.replace("x.xml", "/dev/null").encode()
    assert found.replaced == ("x.xml",)
