"""What a run had not read of its demand: told from its state, given to what continues it."""

import gzip
from pathlib import Path

import pytest

from sim_workers.scenarios.config import read_configuration
from sim_workers.scenarios.scenario import CONFIG_NAME, load_scenario
from sim_workers.states.unread_demand import RESTORE_CONFIG_NAME, Demand
from tests.unit.sim_workers.small_scenarios import write_config

_NAME = "demand0.rou.xml"
_A = '<vehicle id="a" depart="100"/>'
_F = '<flow id="f" begin="200" end="900" period="9"/>'
_B = "<trip id='b' depart='650'></trip>"
_C = '<vehicle id="c" depart="700.5"><param key="x" value=">"/></vehicle>'
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- demand -->\n<routes xmlns:x="y">'


def write_scenario(folder: Path, *routes: str | bytes, options: str = "", added: str = "") -> Path:
    """The files of a scenario with these route files."""
    names = [f"r{number}_rou_xml" for number, _ in enumerate(routes)]
    if names:
        listed = ",".join(name.replace("_", ".") for name in names)
        options += f'<route-files value="{listed}"/>'
    files: dict[str, str | bytes] = dict(zip(names, routes, strict=True))
    if added:
        options += '<additional-files value="a.add.xml"/>'
        files["a_add_xml"] = added
    (folder / "given").mkdir(parents=True)
    config = write_config(folder / "given", options, "town.sumocfg", **files)
    load_scenario(config).write(folder / "scenario")
    return folder / "scenario"


def state_of(*known: str, loader_ms: int | None = 600_000, more: str = "") -> bytes:
    """A state that has these, each ``<element> <id>``, and had read so far ahead."""
    delay = "" if loader_ms is None else f'<delay number="1" loaderTime="{loader_ms}"/>'
    elements = "".join(f'<{tag} id="{name}"/>' for tag, name in (each.split() for each in known))
    return f'<snapshot version="1.28.0" time="400.00">{delay}{elements}{more}</snapshot>'.encode()


def routes_of(*elements: str) -> str:
    """A route file."""
    return f"{_HEAD}\n" + "\n".join(elements) + "\n</routes>\n"


def read_of(scenario: Path, state: bytes) -> dict[str, int] | None:
    """How far the route files had been read."""
    return Demand(scenario).settle(state)[1]


def rest_of(folder: Path, scenario: Path, read: dict[str, int]) -> tuple[dict[str, str], Path]:
    """The options with which a state is continued, and where they stand."""
    config = Demand(scenario).write_restoring(folder / "restoring", read)
    assert config.name == RESTORE_CONFIG_NAME
    return read_configuration(config).options, config.parent


@pytest.mark.parametrize(
    ("known", "last"),
    [
        (("vehicle a", "flowState f", "vehicle b"), _B),
        (("vehicle a", "flowState f", "vehicle b", "vehicle c"), _C),
        (("flowState f",), _B),
        (("vehicle c",), _C),
    ],
)
def test_position_is_behind_the_last_that_the_state_knows(
    known: tuple[str, ...], last: str, tmp_path: Path
) -> None:
    """Or behind the first that is late enough, which was read though the state lacks it: it may
    have been scaled away.
    """
    text = routes_of(_A, _F, _B, _C, '<trip id="d" depart="800"/>')
    read = read_of(write_scenario(tmp_path, text), state_of(*known))
    assert read == {_NAME: text.index(last) + len(last)}


@pytest.mark.parametrize(
    ("tag", "attributes", "known"),
    [
        ("flow", 'begin="610"', "flowState k"),
        ("person", 'depart="610"', "person k"),
        ("personFlow", 'begin="610"', "person k.0"),
        ("container", 'depart="610"', "container k"),
        ("containerFlow", 'begin="0:10:10"', "container k.0"),
        ("trip", 'depart="610"', "vehicle k"),
    ],
)
def test_every_kind_of_demand_is_found_in_a_state(
    tag: str, attributes: str, known: str, tmp_path: Path
) -> None:
    """Under the name that the state has for it."""
    first, element = '<trip id="x" depart="600"/>', f'<{tag} id="k" {attributes}/>'
    text = routes_of(first, element, _C)
    scenario = write_scenario(tmp_path, text)
    assert read_of(scenario, state_of(known)) == {_NAME: text.index(element) + len(element)}
    assert read_of(scenario, state_of()) == {_NAME: text.index(first) + len(first)}


def test_ids_are_compared_as_they_are_meant(tmp_path: Path) -> None:
    """Escaped in the one, or written otherwise in the other, and not in ASCII."""
    element = "<trip id='Köln &amp; &lt;x&gt; \"q\"' depart='610'/>"
    text = routes_of('<trip id="x" depart="600"/>', element, _C)
    known = "Köln &amp; &lt;x&gt; &quot;q&quot;"
    state = state_of(more=f'<vehicle id="{known}"/>')
    end = len(text[: text.index(element) + len(element)].encode())
    assert read_of(write_scenario(tmp_path, text), state) == {_NAME: end}


def test_file_that_was_read_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    """Each file has a position of its own."""
    scenario = write_scenario(tmp_path, routes_of(_A, _F), routes_of(_B, _C))
    read = read_of(scenario, state_of("vehicle b"))
    assert read is not None
    assert set(read) == {"demand1.rou.xml"}
    options, folder = rest_of(tmp_path, scenario, read)
    assert options["route-files"] == "rest0.rou.xml"
    assert b'id="c"' in (folder / "rest0.rou.xml").read_bytes()


def test_state_that_has_all_demand_needs_none(tmp_path: Path) -> None:
    """SUMO writes no ``loaderTime`` then."""
    scenario = write_scenario(tmp_path, routes_of(_A))
    state = state_of("vehicle a", loader_ms=None)
    assert Demand(scenario).settle(state) == (state, {})
    assert "route-files" not in rest_of(tmp_path, scenario, {})[0]


@pytest.mark.parametrize("is_packed", [False, True])
def test_rest_of_a_file_is_what_stands_behind_the_position(is_packed: bool, tmp_path: Path) -> None:
    """Below the same root, to the byte, without definitions that the state has."""
    text = routes_of('<vType id="car"/>', _A, _B, "<!-- next -->", _C)
    content = gzip.compress(text.encode()) if is_packed else text.encode()
    scenario = write_scenario(tmp_path, content)
    read = read_of(scenario, state_of("vehicle b"))
    assert read is not None
    options, folder = rest_of(tmp_path, scenario, read)
    rest = (folder / options["route-files"]).read_text()
    assert rest == f"{_HEAD}\n\n<!-- next -->\n{_C}\n</routes>\n"


def test_nothing_may_be_left_of_a_file(tmp_path: Path) -> None:
    """It is whole XML even so, though its root ends right behind the last element."""
    scenario = write_scenario(tmp_path, f"<routes>{_A}</routes>")
    read = read_of(scenario, state_of("vehicle a", loader_ms=100_000))
    assert read == {_NAME: len(f"<routes>{_A}")}
    options, folder = rest_of(tmp_path, scenario, read)
    assert (folder / options["route-files"]).read_text() == "<routes>\n</routes>"


def test_elements_that_sumo_passes_over_are_not_read_again(tmp_path: Path) -> None:
    """One that departs before the one before it, right behind the position."""
    late = '<trip id="late" depart="30"/>'
    text = routes_of(_A, _B, late, late.replace("late", "later"), _C, late.replace("late", "last"))
    read = read_of(write_scenario(tmp_path, text), state_of("vehicle b"))
    assert read == {_NAME: text.index(_C) - 1}


@pytest.mark.parametrize(
    ("following", "loader_ms"),
    [
        ('<trip id="d" depart="650"/><flow id="e" begin="700" period="9"/>', 649_999),
        ('<flow id="d" begin="650" period="9"/>', 650_000),
        ('<flow id="d" begin="650" period="9"/><person id="p" depart="650"/>', 649_999),
        ('<trip id="d" depart="650.01"/><flow id="e" begin="700" period="9"/>', 650_000),
    ],
)
def test_reading_goes_on_a_millisecond_before_a_vehicle_that_is_due(
    following: str, loader_ms: int, tmp_path: Path
) -> None:
    """SUMO passes over one that departs at the very moment, but not over a flow."""
    scenario = write_scenario(tmp_path, routes_of(_A, _B, following))
    state, read = Demand(scenario).settle(state_of("vehicle b", loader_ms=650_000))
    assert read is not None
    assert f'loaderTime="{loader_ms}"'.encode() in state
    assert state.count(b"loaderTime") == 1


@pytest.mark.parametrize(
    ("files", "loader_ms"),
    [
        (("",), 400_000),
        (('<vTypeDistribution id="m"/>',), 400_000),
        (('<flow id="e" begin="700" period="9"/>',), 650_000),
        (("", "<routes/>"), 650_000),
    ],
)
def test_vehicles_of_one_file_are_read_ahead(
    files: tuple[str, ...], loader_ms: int, tmp_path: Path
) -> None:
    """When the state is opened; not where anything else draws what reading them draws."""
    first, *others = files
    scenario = write_scenario(tmp_path, routes_of(_A, _B, _C, first), *others)
    state, read = Demand(scenario).settle(state_of("vehicle b", loader_ms=650_000))
    assert read is not None
    assert f'loaderTime="{loader_ms}"'.encode() in state


@pytest.mark.parametrize(
    ("flow", "end", "settled"),
    [
        ('<flowState id="f" number="9"/>', "900", '<flowState id="f" number="9" end="900"/>'),
        ('<flowState id="f" number="9"/>', "0:15:00", None),
        ('<flowState id="f" number="9" end="80"/>', "900", ""),
        ('<flowState id="f" number="9" period="8"/>', "900", ""),
        ('<flowState id="f" probability="0.1"/>', "900", ""),
        ('<flowState id="f" number="9"/>', "-1", ""),
    ],
)
def test_flows_of_a_number_end_where_the_run_ends(
    flow: str, end: str, settled: str | None, tmp_path: Path
) -> None:
    """SUMO forgets that when it saves, and would spread what is left over a day."""
    scenario = write_scenario(tmp_path, routes_of(_A), options=f'<end value="{end}"/>')
    state = Demand(scenario).settle(state_of(more=flow))[0].decode()
    expected = flow.replace("/>", f' end="{end}"/>') if settled is None else settled or flow
    assert expected in state


def test_demand_in_additional_files_is_in_the_state(tmp_path: Path) -> None:
    """It is taken out, with the definitions that the state has; infrastructure stays."""
    detector = "<!-- kept --><e2Detector id='d' file='NUL'/>"
    added = f"<additional><vType id='v'/>{_A}{detector}<flow id='g' begin='0'/></additional>"
    scenario = write_scenario(tmp_path, added=added)
    options, folder = rest_of(tmp_path, scenario, {})
    rest = (folder / options["additional-files"]).read_text()
    assert rest == f"<additional>{detector}</additional>"


@pytest.mark.parametrize(
    "needing",
    [
        "<calibrator id='k'><flow begin='0'/></calibrator>",
        "<rerouter id='k'><interval><routeProbReroute id='r'/></interval></rerouter>",
    ],
)
def test_definitions_stay_where_infrastructure_needs_them(needing: str, tmp_path: Path) -> None:
    """A calibrator cannot be read before the routes and types that it names."""
    added = f"<additional><route id='r'/>{needing}{_A}</additional>"
    options, folder = rest_of(tmp_path, write_scenario(tmp_path, added=added), {})
    rest = (folder / options["additional-files"]).read_text()
    assert rest == f"<additional><route id='r'/>{needing}</additional>"


def test_additional_file_without_demand_is_taken_as_it_is(tmp_path: Path) -> None:
    """With its definitions, if no file has demand."""
    added = "<additional><vType id='v'/><e2Detector id='d' file='NUL'/></additional>"
    options, folder = rest_of(tmp_path, write_scenario(tmp_path, added=added), {})
    assert options["additional-files"] == "additional0.add.xml"
    assert (folder / "additional0.add.xml").read_text() == added


@pytest.mark.parametrize(
    "opaque",
    [
        "<routes><include href='b.xml'/></routes>",
        "<data><interval begin='0' end='900'><flow id='f' from='e' to='e'/></interval></data>",
        '<?xml version="1.0" encoding="utf-16"?><routes/>'.encode("utf-16"),
    ],
)
def test_position_in_what_is_no_plain_list_cannot_be_told(
    opaque: str | bytes, tmp_path: Path
) -> None:
    """So a state of such a run is not continued from its file; it is once all was read."""
    data = opaque.encode() if isinstance(opaque, str) else opaque
    (tmp_path / "r.xml").write_bytes(data)
    (tmp_path / CONFIG_NAME).write_text(
        '<configuration><net-file value="n"/><route-files value="r.xml"/></configuration>'
    )
    assert read_of(tmp_path, state_of("vehicle a")) is None
    assert read_of(tmp_path, state_of("vehicle a", loader_ms=None)) == {}


def test_departures_in_a_state_are_not_shifted_again(tmp_path: Path) -> None:
    """The run shifts them; what continues it takes them as they are. All else is as it was."""
    options = '<random-depart-offset value="9"/><scale value="2"/><end value="900"/>'
    scenario = write_scenario(tmp_path, routes_of(_A), options=options)
    before = {path.name: path.read_bytes() for path in scenario.iterdir()}
    run = read_configuration(scenario / CONFIG_NAME).options
    restoring, folder = rest_of(tmp_path, scenario, {})
    assert restoring == {
        name: value
        for name, value in run.items()
        if name not in ("random-depart-offset", "route-files")
    }
    assert (folder / "network0.net.xml").read_bytes() == before["network0.net.xml"]
    assert {path.name: path.read_bytes() for path in scenario.iterdir()} == before
