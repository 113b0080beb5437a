"""Metrics equal what libsumo's own calls give when they are written out again, unforked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from shared.decisions import Extend
from shared.rewards import Metrics
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open, Rollout, RolloutOutcome, SignalDecision
from sim_workers.engine.version import sumo_version
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.store import StateStore
from sim_workers.states.unread_demand import Demand
from sim_workers.verification.reference_simulation import Episode, play
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN, SCENARIOS, read_rows
from tests.integration.sim_workers.rolling import make_worker, rollout_in, run_rollout
from tests.integration.sim_workers.variants import VARIANTS

ROOT = Path(__file__).parents[3]
_LIMIT_S = 60.0


def _ours(fork_server: ForkServer, request: Open, rollout: Rollout) -> dict[str, Any]:
    with fork_server.open(request) as holder:
        return holder.call(rollout, RolloutOutcome, _LIMIT_S).unwrap().model_dump(mode="json")


def _recounted(request: Open, rollout: Rollout) -> dict[str, Any]:
    """What SUMO is told is written out again, for a green that has lasted long enough."""
    decisions = [order.decision for order in rollout.signal_decisions]
    remaining = [str(d.extend_s if d.extend else 0) for d in decisions if isinstance(d, Extend)]
    arguments = [
        *(request.config, str(request.seed), request.state_file or "-", *rollout.observe),
        *(remaining or ["-"]),
        str(rollout.horizon_s),
    ]
    command = [sys.executable, "-m", f"{__package__}.recount", *arguments]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    counted: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return counted


def _restoring(dataset: Path, state_id: str, folder: Path) -> Path:
    """The configuration that continues a state."""
    state = StateStore.open([dataset]).get(state_id)
    demand = Demand(state.layout.scenario)
    return demand.write_restoring(folder / "restoring", state.record.read or {})


def _rollout(tls_id: str, decision: Extend | None, horizon_s: int) -> Rollout:
    limits = {"elapsed_s": 10, "min_green_s": 5, "max_green_s": 60}
    signal_decisions = (
        [] if decision is None else [SignalDecision(tls_id=tls_id, decision=decision, **limits)]
    )
    return Rollout(
        signal_decisions=tuple(signal_decisions),
        observe=(tls_id,),
        horizon_s=horizon_s,
        limit_s=_LIMIT_S,
    )


@pytest.mark.parametrize("decision", [None, Extend(extend=True), Extend(extend=False)])
@pytest.mark.parametrize("scenario", OWN)
def test_metrics_equal_a_recount(
    scenario: str,
    decision: Extend | None,
    dataset_of: Callable[[str], Path],
    fork_server: ForkServer,
    tmp_path: Path,
) -> None:
    """From the same state every metric and the whole series are the same numbers."""
    folder = dataset_of(scenario)
    rows = [row for row in read_rows(folder) if row["restore"] == "state"]
    row = max(rows, key=lambda row: row["outcomes"][0]["metrics"]["queue_veh"])
    request = Open(
        config=str(_restoring(folder, row["state_id"], tmp_path)),
        seed=row["seed"],
        state_file=str(folder / "states" / f"{row['state_id']}.xml"),
        reads=(str(folder / "scenario"),),
    )
    rollout = _rollout(row["tls_id"], decision, 60)
    ours = _ours(fork_server, request, rollout)
    assert ours == _recounted(request, rollout)
    assert ours["network_queue_veh"] >= ours["queue_veh"] > 0


def test_another_seed_continues_the_file_without_its_generators(
    dataset_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """As plain SUMO does with the same file and seed; and not as the run itself went on."""
    folder = dataset_of("crossing")
    row = next(row for row in read_rows(folder) if row["restore"] == "state")
    tree = ElementTree.parse(  # noqa: S314  our own file
        folder / "states" / f"{row['state_id']}.xml"
    )
    root = tree.getroot()
    assert root is not None
    (generators,) = root.findall("rngState")
    root.remove(generators)
    tree.write(tmp_path / "state.xml")
    request = Open(
        config=str(_restoring(folder, row["state_id"], tmp_path)),
        seed=99,
        state_file=str(tmp_path / "state.xml"),
        reads=(str(folder / "scenario"),),
    )
    rollout = rollout_in(folder, row["state_id"], row["tls_id"], None)
    worker = make_worker()
    try:
        own = run_rollout(worker, folder, rollout)
        other = rollout.model_copy(update={"reseed": 99, "source": "file"})
        seeded = run_rollout(worker, folder, other)
    finally:
        worker.close()
    assert isinstance(seeded, Metrics)
    assert seeded.model_dump(mode="json") == _recounted(request, _rollout(row["tls_id"], None, 60))
    assert seeded != own


def test_vehicles_that_stop_are_counted_as_sumo_does(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    """Standing in the lane is queueing; parked beside it, or off the network, is not."""
    (tmp_path / "network.net.xml").write_bytes(
        (SCENARIOS / "crossing" / "crossing.net.xml").read_bytes()
    )
    (tmp_path / "town.rou.xml").write_text(
        """<routes><route id="r" edges="n_in w_out"/>
        <vehicle id="stands" route="r" depart="0">
            <stop lane="n_in_0" endPos="200" duration="60"/></vehicle>
        <vehicle id="parks" route="r" depart="1" departLane="0">
            <stop lane="n_in_0" endPos="100" duration="60" parking="true"/></vehicle>
        <vehicle id="follows" route="r" depart="2" departLane="0"/>
        <vehicle id="overtakes" route="r" depart="3" departLane="1"/></routes>"""
    )
    config = tmp_path / CONFIG_NAME
    config.write_text(
        '<configuration><net-file value="network.net.xml"/><route-files value="town.rou.xml"/>'
        '<time-to-teleport value="25"/></configuration>'
    )
    request, rollout = Open(config=str(config), seed=1), _rollout("c", None, 120)
    ours = _ours(fork_server, request, rollout)
    assert ours == _recounted(request, rollout)
    assert ours["queue_veh_max"] == 2


_ROUTES = """<routes><route id="r" edges="n_in w_out"/>
<vehicle id="stands" route="r" depart="0"><stop lane="n_in_0" endPos="200" duration="60"/></vehicle>
<vehicle id="parks" route="r" depart="1" departLane="0">
    <stop lane="n_in_0" endPos="100" duration="60" parking="true"/></vehicle>
<vehicle id="passes" route="r" depart="1" departLane="1">
    <stop lane="n_in_1" endPos="150" speed="5"/></vehicle>
<flow id="crowd" route="r" begin="20" end="60" period="1" departLane="0"/></routes>"""
"""A bus at its stop, a parked car, one that passes a point slowly, and more than the road holds."""
_CLOSURE = """<additional><variableSpeedSign id="closure" lanes="w_out_0 w_out_1">
<step time="70" speed="0"/><step time="110" speed="13.9"/></variableSpeedSign></additional>"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """The configuration of a short run in which a vehicle can be all that a delay may depend on."""
    network = (SCENARIOS / "crossing" / "crossing.net.xml").read_bytes()
    (tmp_path / "network.net.xml").write_bytes(network)
    (tmp_path / "town.rou.xml").write_text(_ROUTES)
    (tmp_path / "closure.add.xml").write_text(_CLOSURE)
    config = tmp_path / CONFIG_NAME
    config.write_text(
        '<configuration><net-file value="network.net.xml"/><route-files value="town.rou.xml"/>'
        '<additional-files value="closure.add.xml"/><time-to-teleport value="25"/></configuration>'
    )
    return config


def test_delay_is_what_plain_sumo_shows(town: Path, fork_server: ForkServer) -> None:
    """With stops, a closed road, teleports and a crowd that cannot enter; also over TraCI."""
    ours = _ours(fork_server, Open(config=str(town), seed=1), _rollout("c", None, 160))
    assert ours == _recounted(Open(config=str(town), seed=1), _rollout("c", None, 160))
    episode = Episode(
        folder=town.parent,
        command=("-c", str(town), "--seed", "1"),
        environment={},
        actions=None,
        moment_s=0.0,
        decisions=(),
        greens={},
        observe=("c",),
        horizon_s=160,
    )
    played = play(find_sumo(sumo_version()), episode)
    assert ours == played.metrics.model_dump(mode="json")


@pytest.mark.parametrize(("stop", "counted"), [("", 1), (' parking="true"', 0)])
def test_delay_counts_a_vehicle_at_a_stop_on_the_road(
    stop: str, counted: int, town: Path, fork_server: ForkServer
) -> None:
    """A bus stands in its lane, and counts; a parked car is in none, and does not."""
    (town.parent / "town.rou.xml").write_text(
        f"""<routes><vehicle id="bus" depart="0"><route edges="n_in w_out"/>
        <stop lane="n_in_0" endPos="100" duration="500"{stop}/></vehicle></routes>"""
    )
    begin = Open(config=str(town), seed=1)
    short, long = (
        _ours(fork_server, begin, _rollout("c", None, horizon_s))["delay_veh"]
        for horizon_s in (60, 300)
    )
    assert long * 300 - short * 60 == pytest.approx(counted * 240)


@pytest.mark.parametrize("is_closed", [False, True])
def test_delay_adds_up_to_what_trips_lose(
    is_closed: bool, town: Path, fork_server: ForkServer
) -> None:
    """Time loss and departure delay of SUMO's trip file, and 60 s at a stop in the lane, to within
    a second for each vehicle.

    Which is for the second of the insertion, and for planned departures between two seconds.
    """
    if not is_closed:
        (town.parent / "closure.add.xml").write_text("<additional/>")
    trips = town.with_name("trips.xml")
    everything = ("unfinished", "undeparted")
    command = [
        *(str(find_sumo(sumo_version())), "-c", str(town), "--seed", "1", "--end", "160"),
        *("--no-step-log", "--no-warnings", "--tripinfo-output", str(trips)),
        *(f"--tripinfo-output.write-{which}" for which in everything),
    ]
    subprocess.run(command, check=True, capture_output=True)
    lost = [
        float(trip.get("timeLoss", "nan")) + float(trip.get("departDelay", "nan"))
        for trip in ElementTree.parse(trips).getroot().iter("tripinfo")  # noqa: S314  our own
    ]
    ours = _ours(fork_server, Open(config=str(town), seed=1), _rollout("c", None, 160))
    assert len(lost) == 43
    assert ours["delay_veh"] * 160 == pytest.approx(sum(lost) + 60, abs=len(lost))
    assert sum(lost) > 1000


def test_what_was_prepared_is_forgotten_when_time_passes(tmp_path: Path) -> None:
    """Prepared before a switch of programs, a rollout after it reads the one that runs then."""
    config = VARIANTS["switched_programs"](tmp_path)
    before, after = (_prepared(config, moment_s, begun_at_s=130) for moment_s in (60, 130))
    assert before == after
    assert max(after.series or ()) > 0


def _prepared(config: Path, prepared_at_s: int, begun_at_s: int) -> Metrics:
    arguments = [str(config), str(prepared_at_s), str(begun_at_s)]
    command = [sys.executable, "-m", f"{__package__}.prepared", *arguments]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Metrics.model_validate_json(run.stdout.splitlines()[-1])


def test_traces_are_what_plain_sumo_writes(
    dataset_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Watching changes no metric, and each frame has the vehicles of SUMO's own floating-car data,
    which names a step by the second at which it begins.
    """
    folder = dataset_of("crossing")
    row = max(read_rows(folder), key=lambda row: row["outcomes"][0]["metrics"]["queue_veh"])
    config = _restoring(folder, row["state_id"], tmp_path)
    state = str(folder / "states" / f"{row['state_id']}.xml")
    reads = (str(folder / "scenario"),)
    request = Open(config=str(config), seed=row["seed"], state_file=state, reads=reads)
    rollout = _rollout(row["tls_id"], None, 20)
    with ForkServer() as fork_server, fork_server.open(request) as holder:
        plain = holder.call(rollout, RolloutOutcome, _LIMIT_S)
        watched = rollout.model_copy(update={"is_shown": True})
        outcome = holder.call(watched, RolloutOutcome, _LIMIT_S)
    assert outcome.metrics == plain.metrics
    assert plain.shown is None
    trace = outcome.shown
    assert trace is not None
    assert trace.queue_veh == outcome.unwrap().series
    assert (len(trace.frames), trace.omitted_veh) == (21, 0)
    out, end_s = tmp_path / "fcd.xml", row["time_s"] + 20
    command = [str(find_sumo(sumo_version())), "-c", str(config), "--seed", str(row["seed"])]
    command += ["--load-state", state, "--fcd-output", str(out), "--end", str(end_s)]
    subprocess.run([*command, "--no-step-log", "--precision", "4"], check=True)
    steps = ElementTree.parse(out).getroot()  # noqa: S314  SUMO has written it
    seconds = 0
    for step in steps:
        frame = trace.frames[round(float(step.attrib["time"]) + 1 - row["time_s"])]
        told = {trace.vehicles[frame[i]]: frame[i + 1 : i + 5] for i in range(0, len(frame), 5)}
        west, south, east, north = trace.box
        for vehicle in step.iter("vehicle"):
            x, y, angle, speed = (float(vehicle.attrib[n]) for n in ("x", "y", "angle", "speed"))
            if west + 1 < x < east - 1 and south + 1 < y < north - 1:
                wanted = (x * 10, y * 10, angle % 360, speed * 10)
                assert told[vehicle.attrib["id"]] == pytest.approx(wanted, abs=0.51)
        seconds += 1
    assert seconds == 20
    assert {len(states) for states in trace.signals.values()} == {21}
