"""Controllers by name, recorded decisions, and programs of SUMO's own controllers."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from shared.errors import InputError, InvalidRequest
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.episodes import PRESETS, EpisodeReward, StepRequest
from sim_workers.controllers.look_ahead import LookAheadController
from sim_workers.controllers.making import CONTROLLER_NAMES, find_controller
from sim_workers.controllers.protocols import protocol_of
from sim_workers.episodes.programs import add_programs
from sim_workers.episodes.record import EpisodeRecord, EpisodeSpec
from sim_workers.scenarios.config import read_configuration
from tests.unit.sim_workers.controllers.standing import StandingEpisode, seen, show


def test_every_name_makes_a_controller() -> None:
    """A new one for each episode."""
    for name in CONTROLLER_NAMES:
        spec = find_controller(name)
        assert spec.name == name
        assert spec.make(1) is not spec.make(1)
    assert isinstance(find_controller("look-ahead").make(1), LookAheadController)


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    """A missing record has a code of its own."""
    with pytest.raises(InputError, match="max-pressure") as refused:
        find_controller("luck")
    assert refused.value.code == "unknown_controller"
    with pytest.raises(InputError) as refused:
        find_controller("replay:/nowhere/at.all")
    assert refused.value.code == "missing_file"


def test_a_record_is_decided_again(tmp_path: Path) -> None:
    """Step by step, texts as they were; after its last step nothing is decided."""
    spec = EpisodeSpec(
        seed=1,
        scale=1,
        begin_s=0,
        end_s=100,
        signals=None,
        control=PRESETS["resco"],
        reward=EpisodeReward(),
    )
    steps = (
        StepRequest(step=0, decisions={"a": show(2)}),
        StepRequest(step=1, completions={"a": "neither JSON nor a phase"}),
    )
    path = tmp_path / "record.jsonl"
    path.write_text(EpisodeRecord(spec=spec, steps=steps).to_lines())
    controller = find_controller(f"replay:{path}").make(9)
    episode = StandingEpisode({"a": seen({0: 1, 2: 1, 4: 1})})
    asked = []
    for step in range(3):
        episode.steps = step
        asked.append(controller.request(episode.as_episode))
    assert asked == [*steps, StepRequest(step=2)]
    path.write_text("{}\n")
    with pytest.raises(InvalidRequest):
        find_controller(f"replay:{path}")


def test_programs_keep_phases_and_bound_greens(tmp_path: Path) -> None:
    """Only signals with something to decide get one; a green on shared lanes keeps its length."""
    config = tmp_path / "x.sumocfg"
    config.write_text(
        '<configuration><net-file value="n.xml"/><additional-files value="a.xml"/></configuration>'
    )
    (tmp_path / "n.xml").write_text(
        "<net>"
        """<connection from="n" fromLane="0" tl='a"&lt;' linkIndex="0"/>"""
        """<connection from="n" fromLane="0" tl='a"&lt;' linkIndex="1"/>"""
        """<connection from="e" fromLane="0" tl='a"&lt;' linkIndex="2"/>"""
        '<connection from="x" fromLane="0"/></net>'
    )
    phases = tuple(
        Phase(duration_s=duration_s, state=state)
        for duration_s, state in ((31, "GGr"), (3, "yyr"), (20.5, "rrG"), (4, "rry"), (6, "rGr"))
    )
    bounds = {"incoming_lanes": (), "outgoing_lanes": (), "min_green_s": 5, "max_green_s": 60}
    signals = {
        tls_id: Signal(
            tls_id=tls_id,
            programs={"0": Program(program_id="0", kind="static", phases=of_one)},
            **bounds,
        )
        for tls_id, of_one in (('a"<', phases), ("lone", phases[:2]))
    }
    state = SignalState(program_id="0", phase=0, elapsed_s=0)
    add_programs(config, "actuated", signals, dict.fromkeys(signals, state))
    first, second = read_configuration(config).options["additional-files"].split(",")
    assert first == "a.xml"
    (logic,) = ElementTree.parse(tmp_path / second).getroot()  # noqa: S314
    assert (logic.get("id"), logic.get("type")) == ('a"<', "actuated")
    assert [(phase.get("duration"), phase.get("state")) for phase in logic] == [
        ("31", "GGr"),
        ("3", "yyr"),
        ("20.5", "rrG"),
        ("4", "rry"),
        ("6", "rGr"),
    ]
    assert [phase.get("maxDur") for phase in logic] == ["50", None, "50", None, None]


def test_protocols_are_the_benchmarks_own() -> None:
    """RESCO's SUMO inserted vehicles standing, on the first lane; its arterial is faster."""
    resco = protocol_of("resco", "cologne1")
    assert resco.control == PRESETS["resco"]
    assert resco.arguments == ("--default.departspeed=0", "--default.departlane=first")
    arterial = protocol_of("resco", "arterial4x4").control
    assert (arterial.interval_s, arterial.min_green_s) == (5, 3)
    assert protocol_of("sumo-rl", "arterial4x4").control == PRESETS["sumo-rl"]
    assert protocol_of("program", "cologne1").arguments == ()
