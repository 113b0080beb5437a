"""Rows of earlier scripts, with state files, become rows that a service can score."""

import json
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet
import pytest

from greenfork.commands.dataset import _write_parquet
from greenfork.commands.dataset_import import Importer, _rows
from greenfork.main import app
from reward_client import RewardClient
from shared.errors import ServiceRefused
from shared.signals import Signal, SignalState
from shared.wire.states import Simulator, StateView
from trainer import load_grpo_dataset

_SHOWN = SignalState(program_id="0", phase=2, elapsed_s=9.0)


def _view(state_id: str, seed: int, signals: tuple[str, ...]) -> StateView:
    definitions = {
        name: Signal(
            tls_id=name,
            incoming_lanes=(),
            outgoing_lanes=(),
            programs={},
            min_green_s=5,
            max_green_s=60,
        )
        for name in signals
    }
    return StateView(
        state_id=state_id,
        scenario_id="city-0123456789ab",
        time_s=300.0,
        seed=seed,
        run="uploads",
        restore="unverified",
        verified_s=0,
        simulator=Simulator(version="1.28.0"),
        signals=dict.fromkeys(signals, _SHOWN),
        definitions=definitions,
    )


class _Service:
    """Takes every state whose content is not ``old``, and counts."""

    def __init__(self, *signals: str) -> None:
        self._signals = signals
        self.pushed: list[tuple[bytes, str, int, float]] = []

    async def push_state(
        self, content: bytes, scenario_id: str, seed: int, scale: float
    ) -> StateView:
        """As the real client."""
        self.pushed.append((content, scenario_id, seed, scale))
        if content == b"old":
            raise ServiceRefused("saved by SUMO 1.20.0; this is 1.28.0", "bad_state_file")
        return _view(f"city@300-{content.decode():0>12}", seed, self._signals)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder as the earlier script left it."""
    folder = tmp_path / "old" / "city"
    (folder / "states").mkdir(parents=True)
    for name, content in (("a", "1"), ("b", "2"), ("c", "old")):
        (folder / "states" / f"{name}.xml").write_text(content)
    row: dict[str, Any] = {"prompt": "12 wait. Extend?", "scenario": "city", "note": 7}
    row |= {"current_green_elapsed": 12, "min_green": 6, "max_green": 50, "seed": 3}
    rows = [
        {**row, "id": "one", "junction_id": "x", "state_file": "states/a.xml"},
        {**row, "id": "two", "state_file": "states/a.xml"},
        {**row, "id": "three", "junction_id": "nowhere", "state_file": "/gone/away/b.xml"},
        {**row, "id": "four", "state_file": "states/c.xml"},
        {**row, "id": "five", "state_file": "states/d.xml"},
        {**row, "id": "six"},
    ]
    (folder / "grpo_dataset.json").write_text(json.dumps(rows))
    return tmp_path / "old"


async def _imported(old: Path, service: _Service) -> list[Any]:
    importer = Importer(cast("RewardClient", service), "city-0123456789ab", 23423)
    return [await importer.take(row, folder) for row, folder in _rows(old)]


async def test_rows_get_todays_columns_and_keep_their_own(old: Path, tmp_path: Path) -> None:
    """The state's only signal is the row's; what is written can be trained on."""
    service = _Service("x")
    found = await _imported(old, service)
    first, second = found[0].row, found[1].row
    assert (first["tls_id"], second["tls_id"]) == ("x", "x")
    assert (first["state_id"], first["id"], first["note"]) == ("city@300-000000000001", "one", 7)
    assert (first["elapsed_green_s"], first["min_green_s"], first["max_green_s"]) == (12, 6, 50)
    assert (first["restore"], first["seed"], first["current_phase"]) == ("unverified", 3, 2)
    assert not {"junction_id", "current_green_elapsed", "min_green"} & set(first)
    assert len([one for one in service.pushed if one[0] == b"1"]) == 1  # a file once
    (file := tmp_path / "new.jsonl").write_text(json.dumps(first))
    assert load_grpo_dataset(file)[0]["prompt"][1]["content"] == "12 wait. Extend?"


async def test_what_is_left_out_is_said_row_by_row(old: Path) -> None:
    """A state of another SUMO, a missing file, a signal that is not there or not clear."""
    found = await _imported(old, _Service("x", "y"))
    assert [one.row is not None for one in found] == [True, False, False, False, False, False]
    said = [one.said for one in found]
    assert said[0] == "city@300-000000000001, x: unverified"
    assert said[1] == "states/a.xml: no junction_id; the state has x, y"
    assert said[2] == "/gone/away/b.xml: no signal 'nowhere'; the state has x, y"
    assert said[3] == "states/c.xml: saved by SUMO 1.20.0; this is 1.28.0 [bad_state_file]"
    assert said[4:] == ["states/d.xml does not exist", "no state_file"]


def test_rows_are_written_as_parquet_too(tmp_path: Path) -> None:
    """With what is nested in them; a split without rows has no file."""
    row = {"prompt": [{"role": "user", "content": "?"}], "state_id": "a@1-00", "tls_id": "C"}
    outcomes = [
        {"decision": {"kind": "extend", "extend": True}, "metrics": {"queue_veh": 1.5}},
        {"decision": {"kind": "phase", "next_phase": 2}, "metrics": {"queue_veh": 2.5}},
    ]
    (tmp_path / "train.jsonl").write_text(json.dumps({**row, "outcomes": outcomes}) + "\n")
    (tmp_path / "eval.jsonl").write_text("")
    _write_parquet(tmp_path)
    (found,) = pyarrow.parquet.read_table(tmp_path / "train.parquet").to_pylist()
    assert found["outcomes"][1]["decision"]["next_phase"] == 2
    assert found["prompt"] == row["prompt"]
    assert not (tmp_path / "eval.parquet").exists()


def test_one_state_is_pushed_to_its_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the seed and scale of its run; its id is what is printed."""
    service = _Service("x")

    class Client:
        def __init__(self, *_: object) -> None:
            self.push_state = service.push_state

        async def __aenter__(self) -> "Client":
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing to close."""

    monkeypatch.setattr("reward_client.RewardClient", Client)
    (file := tmp_path / "state.xml").write_text("7")
    arguments = ["push", str(file), "--scenario", "city-0123456789ab", "--seed", "5"]
    with pytest.raises(SystemExit) as ended:
        app([*arguments, "--scale", "1.2", "--url", "http://door", "--json"])
    assert ended.value.code == 0
    assert service.pushed == [(b"7", "city-0123456789ab", 5, 1.2)]
    assert json.loads(capsys.readouterr().out)["state_id"] == "city@300-000000000007"
