"""Whole trainings of a selector: what they learn, resumption, and the commands around them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenfork.main import app
from shared.errors import DatasetError, ModelError
from tests.unit.trainer.pointer.pools import ITEMS, pointer_files, pointer_settings
from trainer.pointer.embeddings import write_embeddings
from trainer.pointer.run import train_pointer
from trainer.runs.history import read_metrics
from trainer.runs.reports import OfflineReport


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OfflineReport]:
    """A folder with the files and a finished run."""
    folder = tmp_path_factory.mktemp("pointer")
    settings = pointer_settings(folder, sft_epochs=20)
    return folder, train_pointer(settings, show_progress=False)


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def test_a_run_learns_what_to_pick(trained: tuple[Path, OfflineReport]) -> None:
    """On queries that were held out; it leaves the best selector beside the last."""
    folder, report = trained
    assert report.before is not None
    assert report.after is not None
    assert report.after.regret < report.before.regret / 2
    assert (report.sft_steps, report.rce_steps, report.grpo_steps) == (80, 4, 8)
    root = folder / "run"
    assert report.files.last == root / "last"
    assert report.files.best_checkpoint is not None
    best, model = _weights(report.files.best_checkpoint), _weights(root / "model")
    assert all((best[name] == weight).all() for name, weight in model.items())
    assert len((root / "model" / "pool.jsonl").read_text().splitlines()) == ITEMS
    lines = read_metrics(report.files.metrics)
    assert [line["stage"] for line in lines] == sorted(line["stage"] for line in lines)
    warmth = [line["temperature"] for line in lines if line["stage"] == 2 and "loss" in line]
    assert warmth[0] == 1
    assert warmth[-1] < 1  # the KL is small: advantages may count more


@pytest.mark.parametrize("lost", [["grpo"], ["grpo", "rce", "sft/checkpoint-16"]])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(
    tmp_path: Path, lost: list[str]
) -> None:
    """From the end of stage 1, and from the middle of the imitation."""
    whole = train_pointer(pointer_settings(tmp_path), show_progress=False)
    shutil.copytree(tmp_path / "run", copy := tmp_path / "copy")
    for name in lost:
        shutil.rmtree(copy / name)
    again = pointer_settings(tmp_path, output_dir=str(copy), resume_from_checkpoint="latest")
    report = train_pointer(again, show_progress=False)
    assert (report.sft_steps, report.rce_steps) == (whole.sft_steps, whole.rce_steps)
    theirs = _weights(tmp_path / "run" / "last")
    assert all((theirs[name] == weight).all() for name, weight in _weights(copy / "last").items())


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, Any]:
    with pytest.raises(SystemExit) as ended:
        app([*arguments, "--json"])
    return ended.value.code, json.loads(capsys.readouterr().out)


def test_new_queries_get_selections(
    trained: tuple[Path, OfflineReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With scores and items; a query that cannot be read is an error of its own."""
    folder, _ = trained
    queries = np.random.default_rng(9).normal(size=(3, 6)).astype(np.float32)
    queries[1, 2] = np.nan
    write_embeddings(tmp_path / "new.npz", queries, ["a", "b", "c"])
    out = tmp_path / "out.jsonl"
    arguments = ["predict", "--model", str(folder / "run"), "--out", str(out), "--beam", "4"]
    status, said = _run([*arguments, "--query-embeddings", str(tmp_path / "new.npz")], capsys)
    assert (status, said["queries"], said["failed"]) == (1, 3, 1)
    first, second, third = [json.loads(line) for line in out.read_text().splitlines()]
    assert (second["query_id"], second["error"]["code"]) == ("b", "not_finite")
    for line in (first, third):
        assert [len(set(places)) for places in line["id_list"]] == [2] * 4
        assert line["score_list"] == sorted(line["score_list"], reverse=True)
        assert line["items"] == [f"item {place}" for place in line["id_list"][0]]


def test_a_dry_run_of_the_command_says_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Queries, items, and how long a selection is; without --policy it says what is missing."""
    files = pointer_files(tmp_path / "data")
    arguments = ["train", "offline", "--beam-data", files["beam_data"], "--pool", files["pool"]]
    arguments += ["--pool-embeddings", files["pool_embeddings"], "--dry-run"]
    arguments += ["--query-embeddings", files["query_embeddings"]]
    arguments += ["--output-dir", str(tmp_path / "run")]
    status, said = _run([*arguments, "--policy", "pointer"], capsys)
    assert status == 0
    found = said["found"]
    assert (found["items"], found["longest selection"], found["queries"]) == (ITEMS, 2, 54)
    status, said = _run(arguments, capsys)
    assert status == 2
    assert "add --policy pointer" in said["error"]["message"]


def test_files_that_do_not_fit_each_other_are_refused(
    trained: tuple[Path, OfflineReport], tmp_path: Path
) -> None:
    """Embeddings of another length or size than the others, and a selector over another pool."""
    short = np.zeros((ITEMS - 1, 6), dtype=np.float32)
    write_embeddings(tmp_path / "short.npz", short)
    with pytest.raises(DatasetError, match="11 embeddings, the pool has 12 items") as caught:
        train_pointer(pointer_settings(tmp_path, pool_embeddings=str(tmp_path / "short.npz")))
    assert caught.value.code == "embeddings_length"
    long, queries = pointer_files(tmp_path / "more"), np.zeros((60, 7), dtype=np.float32)
    write_embeddings(tmp_path / "long.npz", queries, [f"q{n}" for n in range(60)])
    validation = {"validation_data": long["beam_data"]}
    validation["validation_embeddings"] = str(tmp_path / "long.npz")
    with pytest.raises(DatasetError, match=r"vectors of 6 numbers, .* of 7; embed both") as caught:
        train_pointer(pointer_settings(tmp_path, **validation))
    assert caught.value.code == "embeddings_length"
    write_embeddings(tmp_path / "other.npz", np.ones((ITEMS, 6), dtype=np.float32))
    other = {"pool_embeddings": str(tmp_path / "other.npz")}
    start = {"model_path": str(trained[0] / "run" / "model")}
    with pytest.raises(ModelError, match="another pool"):
        train_pointer(pointer_settings(tmp_path, **other, **start), show_progress=False)
