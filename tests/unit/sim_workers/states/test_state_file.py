"""State files: what is changed in them before they get their id."""

import hashlib
import re

import pytest

from shared.errors import StateFileError
from sim_workers.states.state_file import (
    check_version,
    make_state_id,
    normalise_state,
    without_rng,
)

_STATE = b"""<?xml version="1.0" encoding="UTF-8"?>

<!-- generated on 2026-01-01 by Eclipse SUMO 1.28.0
<configuration>
    <net-file value="/home/someone/secret/town.net.xml"/>
</configuration>
-->

<snapshot type="micro" version="1.28.0" time="600.500">
    <delay number="2" begin="25" end="19" depart="1" time="12" loaderTime="605000"/>
    <vehicle id="a" speed="1.25"/>
</snapshot>
"""


def test_paths_and_dates_are_removed() -> None:
    """The comment with the machine's paths does not survive, everything below it does."""
    normal = normalise_state(_STATE)
    assert b"secret" not in normal
    assert b"generated" not in normal
    assert normal.startswith(b"<?xml")
    assert b'<vehicle id="a" speed="1.25"/>' in normal


def test_loader_time_is_kept() -> None:
    """It says how far the run had read its demand, and is where reading goes on."""
    assert b'time="12" loaderTime="605000"/>' in normalise_state(_STATE)


def test_state_without_pending_demand_is_left_alone() -> None:
    """There is no loader time to set where SUMO wrote none."""
    state = b'<snapshot version="1.28.0" time="1.00"/>'
    assert normalise_state(state) == state


def test_normalising_twice_changes_nothing() -> None:
    """A normal file stays as it is, comments in its body included."""
    commented = _STATE.replace(b"<vehicle", b"<!-- x --><vehicle")
    once = normalise_state(commented)
    assert normalise_state(once) == once
    assert b"<!-- x -->" in once


def test_id_comes_from_the_normal_content() -> None:
    """The same simulation, saved on another machine on another day, has the same id."""
    elsewhere = _STATE.replace(b"/home/someone", b"/srv/else").replace(b"2026-01", b"2031-12")
    ids = {make_state_id("town", 600.5, normalise_state(state)) for state in (_STATE, elsewhere)}
    digest = hashlib.sha256(normalise_state(_STATE)).hexdigest()
    assert ids == {f"town@600.5-{digest[:12]}"}


def test_id_changes_with_the_content() -> None:
    """One vehicle a little faster is another state."""
    other = _STATE.replace(b"1.25", b"1.26")
    assert make_state_id("town", 1, _STATE) != make_state_id("town", 1, other)


def test_ids_are_safe_in_urls() -> None:
    """Nothing in an id needs escaping in the path of a URL or in a file name."""
    assert re.fullmatch(r"town@600\.5-[0-9a-f]{12}", make_state_id("town", 600.5, b"x"))


@pytest.mark.parametrize(("time_s", "label"), [(0.0, "0"), (600.0, "600"), (0.25, "0.25")])
def test_whole_seconds_have_no_decimal_point(time_s: float, label: str) -> None:
    """Times read as people write them."""
    assert make_state_id("x", time_s, b"").startswith(f"x@{label}-")


@pytest.mark.parametrize("content", [b"", b"<net/>", b'<snapshot time="1.0"/>', b"\xff\xfe"])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    """Anything without a snapshot of a named version and time is no SUMO state."""
    with pytest.raises(StateFileError) as caught:
        normalise_state(content)
    assert caught.value.code == "bad_state_file"
    with pytest.raises(StateFileError):
        check_version(content, "1.28.0")


def test_state_of_this_version_is_accepted() -> None:
    """The version that saved it may continue it."""
    check_version(_STATE, "1.28.0")


def test_state_of_another_version_is_refused() -> None:
    """The message names both versions and says what to do."""
    with pytest.raises(StateFileError, match=r"1\.28\.0.*1\.29\.1.*build") as caught:
        check_version(_STATE, "1.29.1")
    assert caught.value.code == "state_of_other_version"


def test_generators_are_taken_out_and_nothing_else() -> None:
    """So that they start anew from the seed that SUMO is given."""
    rng = b'<rngState default="3"><rngLane index="0" state="7"/></rngState>'
    content = b'<snapshot version="1" time="2">%b<vehicle id="v"/></snapshot>'
    assert without_rng(content % rng) == content % b""
    assert without_rng(content % b"") == content % b""
