"""Datasets of several runs: seeds, demands, behaviour policies, and how each run is repeated."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.dataset import Action, Manifest
from shared.errors import ConfigError
from shared.wire.states import StateRecord
from sim_workers.datasets.build_plan import BuildOptions, Execution
from sim_workers.datasets.builder import build_dataset
from sim_workers.datasets.stored_actions import read_stored_policy
from sim_workers.engine.policies import PolicySpec
from sim_workers.states.store import StateStore
from tests.integration.conftest import OWN, read_rows
from tests.integration.sim_workers.uninterrupted import Question, plain_queues

_GRID = OWN["grid2x2"]
_OPTIONS = BuildOptions(
    seeds=(7, 8),
    scales=(1.0, 1.3),
    policy=PolicySpec(name="max_pressure", epsilon=0.3),
    states=10,
    end_s=660,
    with_outcomes=True,
    tls_ids=("A0", "B1"),
)
pytestmark = pytest.mark.usefixtures("one_fork_server")
_RUNS = [
    f"seed{seed}{scale}-max_pressure-random0.3" for seed in (7, 8) for scale in ("", "-scale1.3")
]


def _records(folder: Path) -> list[StateRecord]:
    lines = (folder / "states/index.jsonl").read_text().splitlines()
    return [StateRecord.model_validate_json(line) for line in lines]


def _manifest(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / "manifest.json").read_bytes())


def _actions(folder: Path, run: str) -> list[Action]:
    lines = (folder / "actions" / f"{run}.jsonl").read_text().splitlines()
    return [Action.model_validate_json(line) for line in lines]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of the grid, built two at a time."""
    out = tmp_path_factory.mktemp("runs") / "out"
    build_dataset(_GRID, out, _OPTIONS, execution=Execution(workers=2))
    return out


def test_runs_are_seeds_times_demands_in_order(runs: Path) -> None:
    """States are shared out evenly, and stand in the order of the runs and of time."""
    manifest = _manifest(runs)
    assert [simulation.run for simulation in manifest.simulations] == _RUNS
    assert manifest.simulation == manifest.simulations[0]
    records = _records(runs)
    assert Counter(record.run for record in records) == dict(zip(_RUNS, (3, 3, 2, 2), strict=True))
    assert [(_RUNS.index(record.run), record.time_s) for record in records] == sorted(
        (_RUNS.index(record.run), record.time_s) for record in records
    )
    by_run = {simulation.run: simulation for simulation in manifest.simulations}
    for record in records:
        simulation = by_run[record.run]
        assert (record.seed, record.scale) == (simulation.seed, simulation.scale)
    assert "--scale" not in by_run[_RUNS[0]].command
    assert by_run[_RUNS[1]].command[-2:] == ("--scale", "1.3")


def test_bytes_do_not_depend_on_the_workers(runs: Path, tmp_path: Path) -> None:
    """One run after the other gives what two at a time give."""
    build_dataset(_GRID, tmp_path / "out", _OPTIONS, execution=Execution(workers=1))
    assert _files(tmp_path / "out") == _files(runs)


def test_the_last_share_in_time_of_each_run_is_held_out(tmp_path: Path) -> None:
    """So that evaluation sees every run, and no moment before a training state of the same run."""
    options = replace(_OPTIONS, states=16, eval_share=0.25, with_outcomes=False, only_replays=True)
    build_dataset(_GRID, tmp_path / "out", options)
    run_of = {record.state_id: record.run for record in _records(tmp_path / "out")}
    times_s: dict[str, dict[str, set[float]]] = {}
    for split in ("train", "eval"):
        for line in (tmp_path / "out" / f"{split}.jsonl").read_text().splitlines():
            row = json.loads(line)
            run = times_s.setdefault(run_of[row["state_id"]], {"train": set(), "eval": set()})
            run[split].add(row["time_s"])
    assert list(times_s) == _RUNS
    for run in times_s.values():
        assert len(run["eval"]) == 1
        assert max(run["train"]) < min(run["eval"])


def test_actions_are_recorded_in_order_with_their_digest(runs: Path) -> None:
    """Each lengthens or ends a green of a signal; they are what a replay repeats."""
    for simulation in _manifest(runs).simulations:
        path = runs / str(simulation.actions)
        assert simulation.actions_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        actions = _actions(runs, simulation.run)
        assert {action.tls_id for action in actions} == {"A0", "A1", "B0", "B1"}
        assert {action.remaining_s for action in actions} >= {0, 5}
        assert [action.time_s for action in actions] == sorted(a.time_s for a in actions)
        assert simulation.policy == "max_pressure-random0.3"
    for record in _records(runs):
        state = StateStore.open([runs]).get(record.state_id)
        expected = [a for a in _actions(runs, record.run) if a.time_s < record.time_s]
        if record.anchor is None:
            assert list(state.actions()) == expected != []


@pytest.mark.parametrize("run", _RUNS[1:3])
def test_outcomes_equal_plain_sumo_with_the_actions_repeated(run: str, runs: Path) -> None:
    """The independent path: the run's command, its actions, the decision, the queue."""
    manifest = json.loads((runs / "manifest.json").read_text())
    simulation = next(s for s in manifest["simulations"] if s["run"] == run)
    last = [record.state_id for record in _records(runs) if record.run == run][-1]
    rows = [row for row in read_rows(runs) if row["state_id"] == last]
    assert rows
    questions = [
        Question(row["time_s"], row["tls_id"], remaining_s)
        for row in rows
        for remaining_s in (min(5, 60 - row["elapsed_green_s"]), 0)
    ]
    queues = plain_queues(runs, {"simulation": simulation}, questions, _actions(runs, run))
    outcomes = [outcome for row in rows for outcome in row["outcomes"]]
    for outcome, queue in zip(outcomes, queues, strict=True):
        assert outcome["metrics"]["queue_veh"] == sum(queue) / 60


def test_programs_left_alone_have_no_actions(tmp_path: Path) -> None:
    """Neither a file nor a mention."""
    manifest = build_dataset(_GRID, tmp_path / "out", BuildOptions(seeds=(7,), states=1, end_s=400))
    assert (manifest.simulation.run, manifest.simulation.policy) == ("seed7", "program")
    assert manifest.simulation.actions is None
    assert not (tmp_path / "out" / "actions").exists()


def test_stored_decisions_are_carried_out(tmp_path: Path) -> None:
    """At their moments, and nothing else is decided."""
    path = tmp_path / "actions.jsonl"
    lines: list[dict[str, Any]] = [
        {"time_s": 10, "tls_id": "A0", "extend": False},
        {"time_s": 20, "tls_id": "B1", "extend": True},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    options = BuildOptions(seeds=(7,), states=2, end_s=600, policy=read_stored_policy(path, 5))
    manifest = build_dataset(_GRID, tmp_path / "out", options)
    assert (manifest.simulation.run, manifest.simulation.policy) == ("seed7-stored", "stored")
    assert _actions(tmp_path / "out", "seed7-stored") == [
        Action(time_s=10, tls_id="A0", remaining_s=0),
        Action(time_s=20, tls_id="B1", remaining_s=5),
    ]


def test_stored_decisions_of_another_network_are_refused(tmp_path: Path) -> None:
    """Nothing is built, nothing is left."""
    path = tmp_path / "actions.jsonl"
    path.write_text('{"time_s": 10, "tls_id": "north", "extend": false}\n')
    options = BuildOptions(seeds=(7,), states=2, policy=read_stored_policy(path, 5))
    with pytest.raises(ConfigError, match="'north'"):
        build_dataset(_GRID, tmp_path / "out", options)
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_of_two_runs_is_kept_once(tmp_path: Path) -> None:
    """Two seeds that have not departed from each other yet: nobody has set out."""
    folder = tmp_path / "source"
    folder.mkdir()
    network = OWN["crossing"].with_suffix(".net.xml")
    (folder / "late.rou.xml").write_text(
        '<routes><vType id="even" speedDev="0"/><route id="r" edges="n_in w_out"/>'
        '<vehicle id="a" type="even" route="r" depart="200"/></routes>'
    )
    config = folder / "late.sumocfg"
    config.write_text(
        f'<configuration><net-file value="{network}"/><route-files value="late.rou.xml"/>'
        "</configuration>"
    )
    options = BuildOptions(seeds=(7, 8), states=4, warmup_s=100, end_s=400, horizon_s=60)
    manifest = build_dataset(config, tmp_path / "out", options)
    ids = [record.state_id for record in _records(tmp_path / "out")]
    assert len(ids) == len(set(ids)) == manifest.build.states
    assert manifest.build.repeated == 4 - len(ids) > 0
    assert {path.stem for path in (tmp_path / "out/states").glob("*.xml")} == set(ids)
