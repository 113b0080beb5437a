"""Supervised training from settings to files."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from greenfork.main import app
from shared.errors import ConfigError, DatasetError, ModelError
from shared.language.prompts import in_words
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import save_lessons
from trainer.models import shared_prefix
from trainer.models.loading import load_model, pick_hardware
from trainer.runs.history import read_metrics
from trainer.settings import ModelSettings
from trainer.sft import SFTTrainingConfig, train_sft

Settings = Callable[..., SFTTrainingConfig]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of sixty rows to teach from, and forty that are held out."""
    moments = [
        Moment(queued=(n % 9, n % 7), approaching=(n % 5, n % 3), yes_veh=4 - n % 9, no_veh=1)
        for n in range(100)
    ]
    return save_lessons(tmp_path_factory.mktemp("rows") / "net", moments, eval_rows=40)


@pytest.fixture
def settings(rows: Path, tiny_llama: Path, tmp_path: Path) -> Settings:
    """Makes the settings of a run of a few steps on the tiny model."""

    def make(**changes: object) -> SFTTrainingConfig:
        values: dict[str, object] = {
            "model_path": str(tiny_llama),
            "dataset_path": str(rows),
            "output_dir": str(tmp_path / "run"),
            "source": "format",
            "max_steps": 6,
            "batch_size": 8,
            "learning_rate": 0.005,
            "warmup_steps": 0,
            "lora_rank": 4,
            "max_new_tokens": 8,
            "check_rows": 4,
            "device": "cpu",
            "precision": "fp32",
            "logging_steps": 1,
        }
        return SFTTrainingConfig.checked({**values, **changes})

    return make


@pytest.mark.usefixtures("pictures")
def test_a_new_model_learns_the_form_of_the_answer(settings: Settings) -> None:
    """All its answers to unseen rows are strict JSON; it is saved as any model is."""
    config = settings(
        model_path="new", lessons=640, batch_size=16, max_steps=None, check_rows=40, logging_steps=5
    )

    report = train_sft(config, show_progress=False)

    assert report.check is not None
    assert report.check.rows == 40
    assert report.check.invalid_share < 0.01
    assert report.check.strict_share > 0.99
    assert report.check.agreement is not None
    samples = report.files.metrics.with_name("samples.jsonl").read_text().splitlines()
    assert len(samples) == 20
    assert all(json.loads(one)["answer"] for one in samples)
    assert 0.8e6 < report.parameters == report.trained_parameters < 1e6
    assert report.steps == 40
    assert report.files.model is not None
    assert report.files.adapter is None
    tokenizer = AutoTokenizer.from_pretrained(report.files.model)
    assert AutoModelForCausalLM.from_pretrained(report.files.model).num_parameters() == (
        report.parameters
    )
    assert tokenizer.chat_template
    assert SFTTrainingConfig.from_yaml(report.files.config) == config
    assert report.files.plot.read_bytes().startswith(b"\x89PNG")
    further = ModelSettings(
        model_path=str(report.files.model), lora_rank=0, device="cpu", precision="bf16"
    )
    loaded = load_model(further, pick_hardware(further))
    assert loaded.lora is None
    assert (
        loaded.model.dtype == torch.float32
    )  # whatever the precision: small steps must not be lost


def test_an_adapter_is_saved_alone_and_merged(settings: Settings) -> None:
    """And the loss falls."""
    report = train_sft(settings(max_steps=20), show_progress=False)

    assert report.lessons == {"format": 60}
    assert 0 < report.trained_parameters < report.parameters
    assert report.loss_first is not None
    assert report.loss_last is not None
    assert report.loss_last < report.loss_first
    assert report.files.adapter is not None
    assert list(report.files.adapter.glob("adapter_model*"))
    assert report.files.merged is not None
    assert list(report.files.merged.glob("model*.safetensors"))
    assert [line["step"] for line in read_metrics(report.files.metrics)] == list(range(1, 21))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    settings: Settings, tmp_path: Path
) -> None:
    """The same lessons in the same order, the same optimizer: the same weights."""
    whole = train_sft(settings(lora_rank=0, save_steps=3, save_total_limit=2), show_progress=False)
    checkpoint = tmp_path / "run" / "checkpoint-3"

    resumed = train_sft(
        settings(
            lora_rank=0,
            output_dir=str(tmp_path / "resumed"),
            resume_from_checkpoint=str(checkpoint),
        ),
        show_progress=False,
    )

    assert resumed.steps == 6
    first, second = (
        load_file(report.files.trained / "model.safetensors") for report in (whole, resumed)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [line["step"] for line in read_metrics(resumed.files.metrics)] == [4, 5, 6]


def test_a_resumed_new_model_keeps_its_vocabulary(settings: Settings, tmp_path: Path) -> None:
    """Though other lessons are drawn: its weights were trained on those tokens."""
    config = settings(model_path="new", save_steps=3, max_steps=3)
    first = train_sft(config, show_progress=False)
    more = {"max_steps": 4, "source": "reading", "resume_from_checkpoint": "latest"}
    with pytest.raises(ConfigError, match=r"source was .*different rows"):
        train_sft(settings(model_path="new", **more), show_progress=False)
    more["resume_changes"] = ["source", "dataset_path"]

    resumed = train_sft(settings(model_path="new", **more), show_progress=False)

    assert (tmp_path / "run" / "checkpoint-4" / "origin.json").is_file()
    assert resumed.steps == 4
    untrained = tmp_path / "run" / "untrained"
    vocabularies = [
        AutoTokenizer.from_pretrained(folder).get_vocab()
        for folder in (untrained, first.files.trained, resumed.files.trained)
    ]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_common_beginnings_computed_once_teach_the_same(settings: Settings, tmp_path: Path) -> None:
    """Loss and gradient of each step, up to rounding."""
    plain = train_sft(settings(prompt_form="words"), show_progress=False)
    apart = settings(prompt_form="words", share_prefixes=True, output_dir=str(tmp_path / "sharing"))
    told = patch("trainer.data.prompts.in_words", wraps=in_words)
    twice = patch.object(shared_prefix, "_in_two_passes", wraps=shared_prefix._in_two_passes)
    with told as worded, twice as made:
        sharing = train_sft(apart, show_progress=False)

    assert made.call_count >= 6
    assert worded.called  # the check at the end asks in words, too
    for one, other in zip(
        read_metrics(sharing.files.metrics), read_metrics(plain.files.metrics), strict=True
    ):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-2)


def test_what_is_missing_is_said_before_anything_is_written(
    settings: Settings, tmp_path: Path
) -> None:
    """A dataset, a model, a checkpoint; outcomes for the best decision."""
    bare = save_lessons(tmp_path / "bare", [Moment(yes_veh=None)] * 3)
    for wrong, error, words in (
        ({"dataset_path": str(tmp_path / "no")}, DatasetError, "no dataset at"),
        ({"model_path": str(tmp_path / "no")}, ModelError, "no model at"),
        ({"resume_from_checkpoint": "latest"}, ConfigError, "no checkpoint in"),
        ({"dataset_path": str(bare), "source": "best"}, DatasetError, "--outcomes"),
    ):
        with pytest.raises(error, match=words):
            train_sft(settings(**wrong), show_progress=False)

    assert not (tmp_path / "run").exists()


def test_the_command_says_what_it_would_teach(
    rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --dry-run: the settings, what was found, and a lesson; nothing is trained."""
    command = ["train", "sft", "--config", "warm-start", "--json"]
    with pytest.raises(SystemExit) as ended:
        app([*command, "--dataset-path", str(rows), "--lessons", "60", "--dry-run"])

    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"]["source"] == {"reading": 0.85, "noisy_rule": 0.15}
    assert said["settings"]["lora_rank"] == 0
    assert said["found"]["lessons of reading"] == 51
    assert said["found"]["rows held out"] == 40
