"""Runs of version 0.1, interrupted in their middle, to which this version puts the end.

What is in them, and how they were made: tests/data/of_ee4e92a/README.md.
"""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from trainer import load_config, train_grpo
from trainer.offline import OfflineConfig, train_offline
from trainer.runs.history import read_metrics
from trainer.sft import SFTTrainingConfig, train_sft

_TESTS = Path(__file__).parents[2]
_DATASET = _TESTS / "integration" / "sim_workers" / "data" / "crossing-of-0.1"
_ON: dict[str, Any] = {"resume_from_checkpoint": "latest"}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, in the working directory, from which their settings name their files."""
    with zipfile.ZipFile(_TESTS / "data" / "of_ee4e92a" / "trainer.zip") as packed:
        packed.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_ended(run: Path, last: str) -> None:
    """The last adapter is what version 0.1 came to; metrics hold every step once."""
    from safetensors.torch import load_file

    ours = load_file(run / last / "adapter_model.safetensors")
    theirs = load_file(run.parent / "after" / f"{run.name}.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].allclose(theirs[name], atol=1e-4) for name in theirs)
    steps = [line["step"] for line in read_metrics(run / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, len(steps) + 1))


def test_grpo_is_gone_on_with(kept: Path) -> None:
    """From its own config.yaml, with adapter, optimizer and random numbers."""
    service = SmallService(yes_is_better)
    with running(service) as url:
        config = load_config(Path("grpo/config.yaml"), overrides=_ON | {"reward_url": url})
        report = train_grpo(config)
    assert (report.steps, report.completions) == (4, 16)
    assert_ended(kept / "grpo", "checkpoint-4")


def test_sft_is_gone_on_with(kept: Path) -> None:
    """On lessons drawn from a dataset of that version."""
    config = SFTTrainingConfig.from_yaml(Path("sft/config.yaml"))
    on = config.to_dict() | _ON | {"dataset_path": str(_DATASET)}
    with capture_logs() as said:
        report = train_sft(SFTTrainingConfig.checked(on), show_progress=False)
    assert "the checkpoint has no record of its settings; nothing is compared" in str(said)
    assert report.steps == 4
    assert_ended(kept / "sft", "checkpoint-4")


def test_offline_is_gone_on_with(kept: Path) -> None:
    """In its second stage, with what the first one stored; its temperature did not adapt yet."""
    config = OfflineConfig.from_yaml(Path("offline/config.yaml"))
    on = config.to_dict() | _ON | {"temperature_adapt_factor": 1}
    report = train_offline(OfflineConfig.checked(on), show_progress=False)
    assert (report.rce_steps, report.grpo_steps) == (3, 6)
    assert_ended(kept / "offline", "grpo/checkpoint-6")
