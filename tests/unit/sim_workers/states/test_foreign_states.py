"""State files that came from elsewhere: what is read of them, and what is refused."""

import gzip

import pytest

from shared.errors import StateFileError
from shared.signals import SignalState
from sim_workers.engine.version import sumo_version
from sim_workers.states.foreign_states import ForeignState, read_foreign_state
from sim_workers.states.state_file import normalise_state

_BODY = """\
    <route id="ns" state="1" edges="n s"/>
    <delay number="2" begin="25" end="19" depart="1" time="12" loaderTime="600000"/>
    <vType id="car"/>
    <vehicle id="a" type="car" route="ns" speed="1.25"/>
    <flowState id="f" begin="0.00" end="600.00"/>
    <tlLogic id="c" programID="0" phase="2" duration="12000" until="318000" active="1"/>
"""


def make_state(
    body: str = _BODY, head: str = '<?xml version="1.0" encoding="UTF-8"?>\n\n<!-- made -->\n\n'
) -> bytes:
    """A state file as SUMO writes it."""
    root = f'<snapshot type="micro" version="{sumo_version()}" time="300.00">'
    return f"{head}{root}\n{body}</snapshot>\n".encode()


def read(content: bytes) -> ForeignState:
    """What is read of a state."""
    return read_foreign_state(content, 10_000)


def refusal(content: bytes) -> StateFileError:
    """Why a state is refused."""
    with pytest.raises(StateFileError) as refused:
        read(content)
    return refused.value


def test_what_a_state_says_is_read() -> None:
    """Its time, and for how long each signal has shown its phase."""
    state = read(make_state())
    assert state.time_s == 300.0
    assert state.shown_s == {("c", "0"): 12.0}


def test_it_is_normalised_as_a_dataset_is() -> None:
    """So that a dataset's state keeps its id when it is uploaded."""
    content = make_state()
    assert read(content).content == normalise_state(content)
    assert read(normalise_state(content)).content == normalise_state(content)


def test_gzipped_state_is_the_same() -> None:
    """And is unpacked no further than it may."""
    assert read(gzip.compress(make_state())) == read(make_state())
    assert refusal(gzip.compress(bytes(50 << 20))).code == "too_large"


def test_signal_takes_its_time_from_the_file() -> None:
    """Of the program that runs; a signal of which the file says nothing is left out."""
    seen = {
        "c": SignalState(program_id="0", phase=2, elapsed_s=300),
        "d": SignalState(program_id="0", phase=0, elapsed_s=300),
    }
    state = read(make_state())
    assert state.signal_states(seen) == {"c": SignalState(program_id="0", phase=2, elapsed_s=12)}
    other = {"c": SignalState(program_id="1", phase=0, elapsed_s=300)}
    assert state.signal_states(other) == {}


@pytest.mark.parametrize("shown", ["nan", "inf", "-1", "1e999"])
def test_impossible_time_is_none(shown: str) -> None:
    """It is not known then, and no number is made up."""
    body = f'<tlLogic id="c" programID="0" phase="0" duration="{shown}"/>'
    assert read(make_state(body)).shown_s == {}


@pytest.mark.parametrize(
    "body",
    [
        '<include href="/etc/passwd"/>',
        '<vehicle id="a"><include href="more.xml"/></vehicle>',
        '<vType id="t"><param key="device.ssm.file" value="/var/lib/ledger.sqlite"/></vType>',
        '<vehicle id="a"><param key="device.toc.file" value="x"/></vehicle>',
        '<laneAreaDetector id="d" file="/tmp/x"/>',
        '<edgeData id="d" edgesFile="/etc/passwd"/>',
        '<calibrator id="c" output="/tmp/x"/>',
        '<timedEvent type="SaveTLSStates" dest="/tmp/x"/>',
        '<poly id="p" imgFile="/etc/passwd"/>',
        "<!-- a comment -->",
        "<![CDATA[text]]>",
        "<?php run() ?>",
        '<rngState a="1"/><rngState a="2"/>',
        "<vehicle id='a'>",
        "</snapshot><snapshot>",
        "&#0;",
        "\x00",
    ],
)
def test_state_that_would_do_harm_is_refused(body: str) -> None:
    """SUMO would read and write what it names; patterns would be searched in it for ever."""
    assert refusal(make_state(body)).code == "bad_state_file"


@pytest.mark.parametrize("key", ["has.ssm.device", "device.ssm.probability"])
def test_device_that_would_write_stays(key: str) -> None:
    """It draws, and every simulation here is told to write its file nowhere."""
    content = make_state(f'<vType id="t"><param key="{key}" value="1"/></vType>')
    assert key.encode() in read(content).content


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<?xml version="1.0" encoding="UTF-16"?>',
        '<?xml version="1.0" encoding="utf-7"?>',
    ],
)
def test_entities_and_encodings_are_refused(head: str) -> None:
    """Whatever one parser makes of it, and another one something else."""
    assert refusal(make_state(head=head)).code == "bad_state_file"


def test_entity_in_the_body_is_refused() -> None:
    """Though nothing declares it."""
    assert refusal(make_state('<vehicle id="&a;"/>')).code == "bad_state_file"


@pytest.mark.parametrize("time", ["nan", "inf", "soon", "", "1e400"])
def test_state_without_a_time_is_refused(time: str) -> None:
    """There is nothing to continue from."""
    content = make_state().replace(b'time="300.00"', f'time="{time}"'.encode())
    assert refusal(content).code == "bad_state_file"


def test_root_hidden_in_a_comment_is_refused() -> None:
    """What is looked for first must not be found in what is not read."""
    content = b"<?xml version='1.0'?><!-- <snapshot --><evil/>" + make_state(head="")
    assert refusal(content).code == "bad_state_file"


def test_state_of_another_version_is_refused() -> None:
    """It would continue differently, or not at all."""
    content = make_state().replace(sumo_version().encode(), b"1.2.3")
    assert refusal(content).code == "state_of_other_version"


@pytest.mark.parametrize("content", [b"", b"text", b"<net/>", b"PK\x03\x04", b"\x1f\x8b"])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    """Whatever it is."""
    assert refusal(content).code == "bad_state_file"


def test_state_made_to_keep_a_pattern_busy_is_refused_at_once() -> None:
    """A hundred thousand comments that do not end would take hours."""
    assert refusal(make_state("<!-- " * 100_000)).code == "bad_state_file"
