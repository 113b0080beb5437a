"""Networks as seen from above, read from their files."""

import math
from pathlib import Path

import pytest

from shared.errors import DatasetError, InvalidRequest, UnknownSignal
from sim_workers.scenarios import geometry
from sim_workers.scenarios.geometry import Network, read_network

CROSSING = Path(__file__).parents[4] / "scenarios" / "crossing"
NET = """<net><edge id="a"><lane id="a_0" index="0" {lane}/></edge>
<edge id=":c_w0" function="walkingarea"><lane id=":c_w0_0" shape="0,0 1,1" width="4"/></edge>
<edge id="t"><lane id="t_0" allow="tram" shape="0,0,7 9,9,7"/></edge>
<junction id="c" shape="0,0 5,0 5,5"/><junction id=":c_0" shape="0,0 1,1"/>
<connection from="a" fromLane="0" to="b" toLane="1" via=":c_0_0" tl="c" linkIndex="3"/></net>"""


def read(folder: Path, text: str) -> Network:
    """The network of such a file."""
    (folder / "c.sumocfg").write_text(
        '<configuration><net-file value="c.net.xml"/></configuration>'
    )
    (folder / "c.net.xml").write_text(text)
    return read_network(folder, "c.sumocfg")


@pytest.fixture(scope="module")
def crossing() -> Network:
    """One of our own."""
    return read_network(CROSSING, "crossing.sumocfg")


def test_lanes_and_links_are_those_of_the_file(crossing: Network) -> None:
    """By their ids, in the network's own coordinates."""
    shape = crossing.whole("id")
    inside = next(lane for lane in shape.lanes if lane.id == ":c_1_0")
    assert (inside.kind, inside.points) == ("inside", (295.2, 310.4, 295.2, 289.6))
    (signal,) = shape.signals
    assert [link.index for link in signal.links] == list(range(12))
    assert shape.box == (0, 0, 600, 600)


def test_stop_lines_lie_across_the_ends_of_lanes(crossing: Network) -> None:
    """As wide as the lane, the left end first as its drivers see it."""
    lines = {line.lane: line for line in crossing.around("id", "c").stop_lines}
    assert len(lines) == 8
    lane = crossing.lanes["n_in_0"]
    left_x, left_y, right_x, right_y = lines["n_in_0"].ends
    assert math.hypot(left_x - right_x, left_y - right_y) == pytest.approx(lane.width_m)
    assert ((left_x + right_x) / 2, (left_y + right_y) / 2) == pytest.approx(lane.points[-2:])
    assert left_x > right_x, "it comes from the north, so that its left is in the east"


def test_surroundings_are_a_part() -> None:
    """What lies farther away is left out; what passes through is there, long lanes too."""
    grid = read_network(CROSSING.parent / "grid2x2", "grid2x2.sumocfg")
    tls_id = min(grid.links)
    near = grid.around("id", tls_id, margin_m=5)
    assert {link.from_lane for link in grid.links[tls_id]} <= {lane.id for lane in near.lanes}
    assert len(near.lanes) < len(grid.lanes)
    assert [line.tls_id for line in near.stop_lines].count(tls_id) >= 4


def test_kinds_and_heights(tmp_path: Path) -> None:
    """Who walks or drives there; heights are passed over, internal junctions too."""
    network = read(tmp_path, NET.format(lane='shape="0,0 0,9"'))
    kinds = {lane.id: lane.kind for lane in network.lanes.values()}
    assert kinds == {"a_0": "road", ":c_w0_0": "foot", "t_0": "rail"}
    assert network.lanes["t_0"].points == (0, 0, 9, 9)
    assert [junction.id for junction in network.junctions] == ["c"]


def test_unknown_signal(crossing: Network) -> None:
    """It is named, a long one not in full."""
    with pytest.raises(UnknownSignal, match="no traffic light 'zz'"):
        crossing.around("id", "zz")


@pytest.mark.parametrize(
    "text",
    [
        NET.format(lane='shape="0,0 nan,9"'),
        NET.format(lane='shape="0,0 0,x"'),
        "<net><edge>",
        '<!DOCTYPE net [<!ENTITY a "b">]><net/>',
    ],
    ids=["nan", "no number", "no end", "document type"],
)
def test_bad_networks_are_refused(tmp_path: Path, text: str) -> None:
    """With a code, and never half read."""
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, text)
    assert caught.value.code == "bad_network"


def test_large_networks_are_told_in_parts(
    crossing: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says how."""
    monkeypatch.setattr(geometry, "MAX_LANES", 5)
    with pytest.raises(InvalidRequest, match="tls_id") as caught:
        crossing.whole("id")
    assert caught.value.code == "too_large"
    assert crossing.around("id", "c").lanes
