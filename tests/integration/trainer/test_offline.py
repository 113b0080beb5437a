"""Whole offline runs on a tiny model: both stages, adapters, resumption, and the command."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from shared.errors import ConfigError, TrainingStopped
from trainer.offline import OfflineConfig, train_offline
from trainer.offline.stages import Stage
from trainer.runs.history import read_metrics

_YES, _NO = '{"extend": "yes"}', '{"extend": "no"}'
_BETTER = {"well": (_YES, _NO), "the": (_NO, _YES)}
"""What is asked, and the better and the worse answer."""


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty queries of two kinds with five candidates each, in the original form."""
    rows = [
        {
            "prompt": [{"role": "user", "content": asked}],
            "id_list": [better, worse, f"{better} well", "well the", "the"],
            "score_list": [1.0, 0.0, -1.0, -2.0, -3.0],
        }
        for asked, (better, worse) in list(_BETTER.items()) * 20
    ]
    file = tmp_path_factory.mktemp("candidates") / "beam.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture
def config(tiny_llama: Path, candidates: Path, tmp_path: Path) -> Callable[..., OfflineConfig]:
    """Makes the settings of a short run."""

    def make(**changes: object) -> OfflineConfig:
        values: dict[str, object] = {
            "model_path": str(tiny_llama),
            "beam_data": str(candidates),
            "output_dir": str(tmp_path / "run"),
            "max_seq_length": 64,
            "lora_rank": 0,
            "optim": "adamw_torch",
            "learning_rate": 0.005,
            "logging_steps": 1,
            "rce_epochs": 2,
            "grpo_epochs": 2,
            "device": "cpu",
        }
        return OfflineConfig.checked(values | changes)

    return make


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.usefixtures("pictures")
def test_a_run_learns_which_candidate_is_better(config: Callable[..., OfflineConfig]) -> None:
    """On queries that were held out; and leaves what it should."""
    run = config()
    report = train_offline(run, show_progress=False)
    assert (report.queries, report.candidates) == (36, 180)
    assert report.before is not None
    assert report.after is not None
    assert report.before.agreement < 1
    assert (report.after.agreement, report.after.regret) == (1.0, 0.0)
    assert (report.rce_steps, report.grpo_steps) == (6, 6)
    root = Path(run.output_dir)
    for stage in ("rce", "grpo"):
        assert {path.name for path in (root / stage).glob("checkpoint-*")} == {
            "checkpoint-3",
            "checkpoint-6",
        }
    assert report.files.best_checkpoint in set((root / "grpo").iterdir())
    assert report.files.plot.read_bytes().startswith(b"\x89PNG")
    assert OfflineConfig.from_yaml(report.files.config) == run
    samples = [json.loads(line) for line in (root / "samples.jsonl").read_text().splitlines()]
    assert {one["answer"].strip() for one in samples} <= {better for better, _ in _BETTER.values()}
    assert [(one["step"], one["reward"]) for one in samples] == [(12, 1.0)] * 4
    assert {one["status"] for one in samples} == {"the best candidate"}


def test_what_is_logged_says_what_the_stages_did(config: Callable[..., OfflineConfig]) -> None:
    """Temperatures, the KL and ratio of a start, the best three and then all five, the weight."""
    report = train_offline(config(), show_progress=False)
    lines = read_metrics(report.files.metrics)
    first = [line for line in lines if line["stage"] == 1 and "loss" in line]
    second = [line for line in lines if line["stage"] == 2 and "loss" in line]
    assert [line["step"] for line in first + second] == list(range(1, 13))
    assert [line["tau"] for line in first] == pytest.approx([2.0, 1.7, 1.4, 1.1, 0.8, 0.5])
    assert (second[0]["kl"], second[0]["ratio"]) == (pytest.approx(0, abs=1e-6), pytest.approx(1))
    assert [line["candidates"] for line in second] == [3, 3, 3, 5, 5, 5]
    assert second[0]["advantage"] > 0
    assert second[-1]["advantage"] == pytest.approx(0, abs=1e-5)
    assert second[1]["kl_coeff"] == second[0]["kl_coeff"] / 2
    for line in first + second:
        assert line["advantage/p05"] < line["advantage/p50"] < line["advantage/p95"]
    for line in (line for line in lines if "eval_loss" in line):
        assert {"eval_regret", "eval_agreement", "eval_policy_loss"} <= line.keys()


def test_an_adapter_is_trained_and_merged(config: Callable[..., OfflineConfig]) -> None:
    """The merged model can be the start of the next run, and is better from the beginning."""
    report = train_offline(config(lora_rank=4, learning_rate=0.02), show_progress=False)
    assert report.files.model is None
    assert report.files.merged is not None
    assert (report.files.adapter or Path()).joinpath("adapter_config.json").is_file()
    merged = config(model_path=str(report.files.merged), output_dir=str(report.files.plot.parent))
    merged = merged.model_copy(update={"output_dir": f"{merged.output_dir}-2", "rce_epochs": 0})
    again = train_offline(merged, show_progress=False)
    assert again.before == report.after
    assert again.rce_steps == 0


def _logits(folder: Path | None) -> Any:  # noqa: ANN401 - an untyped library
    import torch

    from trainer.models.loading import load_model, pick_hardware

    config = OfflineConfig(model_path=str(folder), lora_rank=0, device="cpu", precision="fp32")
    return load_model(config, pick_hardware(config)).model(torch.tensor([[3, 4, 5]])).logits


def test_an_adapter_on_an_adapter_is_loaded_onto_both(
    config: Callable[..., OfflineConfig], tmp_path: Path
) -> None:
    """What a run that started from an adapter saves is what it trained, in either form."""
    short: dict[str, object] = {"lora_rank": 4, "learning_rate": 0.02, "rce_epochs": 1}
    short |= {"grpo_epochs": 0, "precision": "fp32"}
    first = train_offline(config(**short), show_progress=False)
    start = {"model_path": str(first.files.adapter), "output_dir": str(tmp_path / "second")}
    second = train_offline(config(**short | start), show_progress=False)
    adapter, merged = _logits(second.files.adapter), _logits(second.files.merged)
    assert adapter.tolist() == merged.tolist()
    assert adapter.tolist() != _logits(first.files.merged).tolist()


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(
    config: Callable[..., OfflineConfig], tmp_path: Path
) -> None:
    """From the middle of either stage: the same weights to the bit, the same metrics."""
    whole = config()
    report = train_offline(whole, show_progress=False)
    root = Path(whole.output_dir)
    for number, lost in enumerate((["grpo/checkpoint-6"], ["grpo", "rce/checkpoint-6"])):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(root, copy)
        for name in lost:
            shutil.rmtree(copy / name)
        resumed = config(output_dir=str(copy), resume_from_checkpoint="latest")
        again = train_offline(resumed, show_progress=False)
        assert (again.rce_steps, again.grpo_steps) == (6, 6)
        assert again.kl_coeff == report.kl_coeff
        expected = _weights(root / "model")
        assert all((expected[n] == w).all() for n, w in _weights(copy / "model").items())
        assert [line.get("kl") for line in read_metrics(again.files.metrics)] == [
            line.get("kl") for line in read_metrics(report.files.metrics)
        ]


@pytest.mark.parametrize(("at", "saved"), [(5, "rce/checkpoint-4"), (8, "grpo/checkpoint-1")])
def test_an_interrupted_run_is_gone_on_with(
    config: Callable[..., OfflineConfig],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: int,
    saved: str,
) -> None:
    """In either stage: from the step before, to the end of a run that was not interrupted."""
    one_pass = {"gradient_accumulation_steps": 3, "batch_size": 4}
    whole = train_offline(config(output_dir=str(tmp_path / "whole"), **one_pass), False)
    real, steps = Stage.get_batch_samples, list[int]()

    def interrupted(self: Stage, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        steps.append(1)
        if len(steps) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "get_batch_samples", interrupted)
        with pytest.raises(TrainingStopped, match=rf"SIGTERM.*train offline .*{saved}$") as caught:
            train_offline(config(**one_pass), show_progress=False)
    assert caught.value.code == "interrupted"
    checkpoint = tmp_path / "run" / saved
    assert (checkpoint / "run.json").is_file()
    resumed: dict[str, object] = {"resume_from_checkpoint": "latest", **one_pass}
    with pytest.raises(ConfigError, match=r"epsilon was 0\.2, is 0\.3"):
        train_offline(config(epsilon=0.3, **resumed), show_progress=False)
    report = train_offline(config(**resumed), show_progress=False)
    assert (report.rce_steps, report.grpo_steps) == (whole.rce_steps, whole.grpo_steps)
    ours, theirs = _weights(report.files.trained), _weights(whole.files.trained)
    assert all((theirs[name] == weight).all() for name, weight in ours.items())


def test_a_checkpoint_of_another_model_is_refused(
    config: Callable[..., OfflineConfig], tmp_path: Path
) -> None:
    """Both are named, before anything is loaded."""
    short = config(rce_epochs=1, grpo_epochs=0)
    train_offline(short, show_progress=False)
    other = short.model_copy(
        update={
            "model_path": str(Path(short.output_dir) / "model"),
            "resume_from_checkpoint": "latest",
        }
    )
    with pytest.raises(ConfigError, match="a different model"):
        train_offline(other, show_progress=False)


def _command(arguments: list[str], printed: pytest.CaptureFixture[str]) -> tuple[object, Any]:
    with pytest.raises(SystemExit) as ended:
        app(["train", "offline", *arguments, "--json"])
    return ended.value.code, json.loads(printed.readouterr().out)


def test_a_dry_run_says_what_would_be_done(
    tiny_llama: Path, candidates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes nothing."""
    out = tmp_path / "run"
    arguments = ["--sft-ckpt", str(tiny_llama), "--beam-data", str(candidates), "--dry-run"]
    arguments += ["--output-dir", str(out), "--max-samples", "20", "--rce-epochs", "1"]
    status, said = _command([*arguments, "--set", "sft_learning_rate=0.01"], capsys)
    assert status == 0
    assert (said["found"]["queries"], said["found"]["candidates"]) == (18, 90)
    assert said["found"]["learning rate"] == pytest.approx(0.001)
    assert said["settings"]["rce_epochs"] == 1
    assert said["advantages"]["zero_share"] == 0
    assert not out.exists()


def test_wrong_candidates_end_the_command(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the row, and the status of unusable input."""
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"prompt": "Go?", "id_list": ["a", "b"], "score_list": [1]}\n')
    status, said = _command(["--sft-ckpt", str(tiny_llama), "--beam-data", str(file)], capsys)
    assert status == 2
    assert "row 1: score_list has length 1, id_list has length 2" in said["error"]["message"]
