"""Datasets as CONTRACT.md describes them, and builds that cannot be."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.dataset import Manifest
from shared.decisions import Decision, DecisionKind, canonical
from shared.errors import DatasetError, GreenforkError, ScenarioError, UnknownSignal
from shared.legality import check_legality
from shared.wire.states import StateRecord
from sim_workers.datasets.build_plan import BuildOptions, Progress
from sim_workers.datasets.builder import build_dataset
from sim_workers.states.store import read_states
from tests.integration.conftest import OWN, SCENARIOS, read_rows
from tests.integration.sim_workers.lone_green import LONE_GREEN, write_lone_green
from tests.integration.sim_workers.uninterrupted import sumo_binary

CROSSING = OWN["crossing"]
TINY = BuildOptions(seeds=(7,), states=2, warmup_s=60, end_s=260)
pytestmark = pytest.mark.usefixtures("one_fork_server")


def _build(out: Path, config: Path = CROSSING, **changes: Any) -> Manifest:  # noqa: ANN401
    return build_dataset(config, out, replace(TINY, **changes))


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "states/index.jsonl").read_text().splitlines()]


@pytest.fixture
def dataset(dataset_of: Callable[[str], Path]) -> Path:
    """Eight states of the crossing, with outcomes."""
    return dataset_of("crossing")


@pytest.fixture
def grid(dataset_of: Callable[[str], Path]) -> Path:
    """Eight states of four signals, with outcomes."""
    return dataset_of("grid2x2")


def test_rows_hold_what_the_contract_says(dataset: Path) -> None:
    """Exactly these fields, and nothing that is null."""
    for row in read_rows(dataset):
        assert set(row) == {
            *("prompt", "state_id", "scenario", "tls_id", "decision_kind", "current_phase"),
            *(
                "elapsed_green_s",
                "min_green_s",
                "max_green_s",
                "time_s",
                "seed",
                "restore",
                "fidelity",
            ),
            *("difficulty", "outcomes", "scale"),
        }
        assert row["decision_kind"] == "extend"
        assert row["restore"] in ("state", "replay")
        assert (row["seed"], row["scale"]) == (7, 1)
        assert 0 <= row["difficulty"] <= 1
        decisions = [outcome["decision"] for outcome in row["outcomes"]]
        assert [decision["extend"] for decision in decisions] == [True, False]
        assert None not in row.values()


@pytest.mark.parametrize("folder", ["dataset", "grid"])
def test_rows_are_decision_points(folder: str, request: pytest.FixtureRequest) -> None:
    """At each a green runs that has lasted its minimum and not yet its maximum."""
    root: Path = request.getfixturevalue(folder)
    manifest = json.loads((root / "manifest.json").read_text())
    index = {record["state_id"]: record for record in _index(root)}
    for row in read_rows(root):
        assert row["min_green_s"] <= row["elapsed_green_s"] < row["max_green_s"]
        state = index[row["state_id"]]["signals"][row["tls_id"]]
        assert (state["phase"], state["elapsed_s"]) == (
            row["current_phase"],
            row["elapsed_green_s"],
        )
        program = manifest["signals"][row["tls_id"]]["programs"][state["program_id"]]
        lights = program["phases"][row["current_phase"]]["state"]
        assert "g" in lights.lower()
        assert "y" not in lights


def test_a_state_has_a_row_for_each_signal_that_can_be_decided(grid: Path) -> None:
    """No signal has two rows in a state, and some state has more than one signal."""
    keys = [(row["state_id"], row["tls_id"]) for row in read_rows(grid)]
    assert len(keys) == len(set(keys))
    assert len({state_id for state_id, _ in keys}) == len(_index(grid)) == 8
    assert len(keys) > 8


def test_states_are_named_by_their_content(dataset: Path) -> None:
    """Each file's SHA-256 is in its id, and there is a file for each id and no other."""
    ids = {record["state_id"] for record in _index(dataset)}
    files = {path.stem: path for path in (dataset / "states").glob("*.xml")}
    assert ids == set(files)
    for state_id, path in files.items():
        content = path.read_bytes()
        assert state_id.endswith(hashlib.sha256(content).hexdigest()[:12])
        assert b"<!--" not in content
        assert b"/home" not in content


def test_prompts_hold_the_junction_as_json(dataset: Path) -> None:
    """A system message that asks for the answer, and a user message that is compact JSON."""
    for row in read_rows(dataset):
        system, user = row["prompt"]
        assert (system["role"], user["role"]) == ("system", "user")
        assert '{"extend": "yes"}' in system["content"]
        view = json.loads(user["content"])
        assert json.dumps(view, separators=(",", ":")) == user["content"]
        assert view.pop("phases").keys() == {"0", "2", "4", "6"}
        assert view == {
            "current_phase": row["current_phase"],
            "elapsed_green": row["elapsed_green_s"],
            "min_green": 5,
            "max_green": 60,
        }
        for counts in json.loads(user["content"])["phases"].values():
            assert counts.keys() == {"queued", "approaching", "passed"}
            assert min(counts.values()) >= 0


def test_held_out_states_are_the_last_and_in_no_other_split(dataset: Path) -> None:
    """Training never sees a state that evaluation uses."""
    train, held_out = (
        [json.loads(line) for line in (dataset / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "eval")
    )
    assert len(held_out) == 1
    assert not {row["state_id"] for row in train} & {row["state_id"] for row in held_out}
    assert max(row["time_s"] for row in train) < min(row["time_s"] for row in held_out)


def test_manifest_reproduces_the_run_with_plain_sumo(dataset: Path, tmp_path: Path) -> None:
    """Its command, given to a stock ``sumo`` in the dataset's folder, runs to the last state."""
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["simulator"] == {"name": "sumo", "version": "1.28.0"}
    assert manifest["simulation"]["seed"] == 7
    assert manifest["build"]["states"] == 8
    command = manifest["simulation"]["command"]
    last_s = max(record["time_s"] for record in _index(dataset))
    summary = tmp_path / "summary.xml"
    subprocess.run(
        [sumo_binary(), *command, "--end", str(last_s), "--summary-output", str(summary)],
        cwd=dataset,
        check=True,
        capture_output=True,
    )
    assert f'time="{last_s - 1:.2f}"' in summary.read_text()


def test_the_same_build_twice_is_the_same_to_the_byte(tmp_path: Path) -> None:
    """Seed and options determine every file of a dataset."""
    for name in ("one", "two"):
        _build(tmp_path / name, with_outcomes=True)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert len(_files(tmp_path / "one")) > 7


def test_another_seed_is_another_dataset(tmp_path: Path) -> None:
    """Other traffic, other states, the same scenario."""
    one, two = (_build(tmp_path / str(seed), seeds=(seed,), states=1) for seed in (1, 2))
    assert one.scenario == two.scenario
    assert _index(tmp_path / "1")[0]["state_id"] != _index(tmp_path / "2")[0]["state_id"]


def test_outcomes_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """The key is absent."""
    _build(tmp_path / "out", states=1)
    assert all("outcomes" not in row for row in read_rows(tmp_path / "out"))


def test_states_keep_their_spacing_and_lie_between_warmup_and_horizon(tmp_path: Path) -> None:
    """One in each stretch of ``every_s``, none in the warm-up, none whose rollout has no time."""
    manifest = _build(tmp_path / "out", states=None, every_s=50)
    times_s = [record["time_s"] for record in _index(tmp_path / "out")]
    slots = [int((time_s - 60) // 50) for time_s in times_s]
    assert slots == sorted(set(slots))
    assert min(times_s) >= 60
    assert max(times_s) <= 260 - 60
    assert (manifest.simulation.begin_s, manifest.simulation.end_s) == (0, 260)


def test_begin_can_be_moved(tmp_path: Path) -> None:
    """The simulation starts there, and the warm-up counts from there."""
    manifest = _build(tmp_path / "out", begin_s=600, end_s=800, states=1)
    assert manifest.simulation.begin_s == 600
    assert _index(tmp_path / "out")[0]["time_s"] >= 660
    assert b'<begin value="600.00"/>' in (tmp_path / "out/scenario/scenario.sumocfg").read_bytes()


def test_one_signal_can_be_chosen_and_is_taken_once(tmp_path: Path) -> None:
    """Rows are of that signal only, even if it is named twice; states know them all."""
    out = tmp_path / "out"
    _build(out, OWN["grid2x2"], tls_ids=("A0", "A0"), with_outcomes=True)
    rows = read_rows(out)
    assert [row["tls_id"] for row in rows] == ["A0"] * len(rows)
    assert len(rows) == len(_index(out)) > 0
    assert all(len(row["outcomes"]) == 2 for row in rows)
    assert set(_index(out)[0]["signals"]) == {"A0", "A1", "B0", "B1"}


def test_green_limits_and_extension_reach_rows_and_prompts(tmp_path: Path) -> None:
    """What was asked for stands in the rows, the prompt and the outcomes."""
    limits: dict[str, Any] = {"min_green_s": 8.0, "max_green_s": 20.0, "extend_s": 7}
    _build(tmp_path / "out", with_outcomes=True, **limits)
    for row in read_rows(tmp_path / "out"):
        assert (row["min_green_s"], row["max_green_s"]) == (8, 20)
        assert 8 <= row["elapsed_green_s"] < 20
        assert "7 more seconds" in row["prompt"][0]["content"]
        assert row["outcomes"][0]["decision"]["extend_s"] == 7


def test_flows_in_additional_files_are_restored_exactly(tmp_path: Path) -> None:
    """Demand that stands in additional files continues from the state alone."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("crossing.net.xml", "crossing.rou.xml"):
        shutil.copy(CROSSING.parent / name, source / name)
    config = source / "mixed.sumocfg"
    config.write_text(
        '<configuration><net-file value="crossing.net.xml"/>'
        '<additional-files value="crossing.rou.xml"/></configuration>'
    )
    manifest = _build(tmp_path / "out", config)
    assert manifest.build.states == 2
    assert {state.record.restore for state in read_states(tmp_path / "out")} == {"state"}
    queued = [json.loads(row["prompt"][1]["content"]) for row in read_rows(tmp_path / "out")]
    assert any(counts["queued"] for view in queued for counts in view["phases"].values())


def test_unsorted_demand_in_additional_files_is_kept(tmp_path: Path) -> None:
    """SUMO loads it whole, so a vehicle that departs early may stand late in the file."""
    shutil.copy(CROSSING.parent / "crossing.net.xml", tmp_path / "town.net.xml")
    (tmp_path / "town.add.xml").write_text(
        '<additional><route id="r" edges="n_in w_out"/><vehicle id="b" route="r" depart="75"/>'
        '<vehicle id="a" route="r" depart="55"/></additional>'
    )
    config = tmp_path / "town.sumocfg"
    config.write_text(
        '<configuration><net-file value="town.net.xml"/>'
        '<additional-files value="town.add.xml"/></configuration>'
    )
    _build(tmp_path / "out", config, states=1)
    (state,) = (tmp_path / "out/states").glob("*.xml")
    text = state.read_text()
    assert '<vehicle id="a"' in text
    assert '<vehicle id="b"' in text


def _refused(tmp_path: Path, config: Path = CROSSING, **changes: Any) -> GreenforkError:  # noqa: ANN401
    before = _files(tmp_path)
    with pytest.raises(GreenforkError) as caught:
        _build(tmp_path / "out", config, **changes)
    assert _files(tmp_path) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    return caught.value


def test_unknown_signal_names_those_there_are(tmp_path: Path) -> None:
    """Nothing is built."""
    error = _refused(tmp_path, tls_ids=("north",))
    assert isinstance(error, UnknownSignal)
    assert "'north'; it has c" in error.message


def test_network_without_signal_is_refused(tmp_path: Path) -> None:
    """There is nothing to decide."""
    netconvert = Path(sumo_binary()).with_name("netgenerate")
    network = tmp_path / "plain.net.xml"
    subprocess.run(
        [netconvert, "--grid", "--grid.number=2", "-o", network], check=True, capture_output=True
    )
    config = tmp_path / "plain.sumocfg"
    config.write_text('<configuration><net-file value="plain.net.xml"/></configuration>')
    error = _refused(tmp_path, config)
    assert isinstance(error, ScenarioError)
    assert error.code == "no_signal"


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """An existing dataset is never overwritten."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("data")
    assert _refused(tmp_path).code == "dataset_exists"


def test_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    """A file is no folder to build into."""
    (tmp_path / "out").write_text("data")
    assert _refused(tmp_path).code == "dataset_exists"


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    """A folder that was made beforehand is fine."""
    (tmp_path / "out").mkdir()
    _build(tmp_path / "out", states=1)
    assert (tmp_path / "out" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"horizon_s": 300}, "warm-up and horizon leave no time"),
        ({"warmup_s": 250.0}, "warm-up and horizon leave no time"),
        ({"end_s": 0.0}, "warm-up and horizon leave no time"),
        ({"min_green_s": 59.0}, "lower min_green_s"),
    ],
)
def test_no_decision_points_says_why(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """The message names the option that leaves nothing."""
    error = _refused(tmp_path, **changes)
    assert isinstance(error, DatasetError)
    assert error.code == "no_decision_points"
    assert reason in error.message


def test_progress_is_reported_slot_by_slot(tmp_path: Path) -> None:
    """It begins with nothing and ends where the manifest says."""
    seen: list[Progress] = []
    manifest = build_dataset(CROSSING, tmp_path / "out", TINY, seen.append)
    assert list(dict.fromkeys(progress.slots_done for progress in seen)) == [0, 1, 2]
    assert (seen[-1].compared, seen[-1].runs) == (1, 1)
    assert seen[0].resumed == seen[0].states == 0
    assert seen[-1].states == manifest.build.states
    assert seen[-1].from_anchor + seen[-1].from_begin == manifest.build.replayed


@pytest.mark.parametrize("kind", ["extend", "phase", "cycle", "plan"])
def test_rows_ask_for_the_kind_and_hold_its_legal_decisions(
    kind: DecisionKind, tmp_path: Path
) -> None:
    """Every outcome is of a decision that would be accepted in that state."""
    manifest = _build(tmp_path / "out", kind=kind, states=1, with_outcomes=True)
    (row,) = read_rows(tmp_path / "out")
    assert row["decision_kind"] == kind
    state = StateRecord.model_validate(_index(tmp_path / "out")[0]).signals["c"]
    decisions = [
        TypeAdapter[Decision](Decision).validate_python(outcome["decision"])
        for outcome in row["outcomes"]
    ]
    assert len(decisions) == len({canonical(decision) for decision in decisions}) > 1
    for decision in decisions:
        assert decision.kind == kind
        check_legality(decision, manifest.signals["c"], state)


def test_signals_with_nothing_to_decide_are_left_out_and_named(tmp_path: Path) -> None:
    """The others are decided."""
    manifest = _build(tmp_path / "out", write_lone_green(tmp_path))
    assert manifest.build.undecidable == {LONE_GREEN: "one green phase only"}
    assert LONE_GREEN not in {row["tls_id"] for row in read_rows(tmp_path / "out")}


def test_asking_for_a_signal_with_nothing_to_decide_is_an_error(tmp_path: Path) -> None:
    """With the reason."""
    error = _refused(tmp_path, write_lone_green(tmp_path), tls_ids=("A0", LONE_GREEN))
    assert isinstance(error, ScenarioError)
    assert error.code == "nothing_to_decide"
    assert f"{LONE_GREEN}: one green phase only" in error.message


def test_scenarios_folder_is_not_written_to() -> None:
    """A build reads its source and leaves it as it was."""
    assert {path.suffix for path in (SCENARIOS / "crossing").iterdir()} == {".xml", ".sumocfg"}
