"""Torn checkpoints are known by what they lack, and the one before them is offered."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import ConfigError
from tests.unit.trainer.whole_checkpoint import save_weights, save_whole_checkpoint
from trainer.runs.checkpoints import flaw_of
from trainer.runs.startup import checkpoint_of

FILES = (
    "trainer_state.json",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "model.safetensors",
)


@pytest.mark.parametrize("weights", ["model.safetensors", "adapter_model.safetensors"])
def test_whole_checkpoint_has_no_flaw(tmp_path: Path, weights: str) -> None:
    """Of all weights or of an adapter."""
    assert flaw_of(save_whole_checkpoint(tmp_path / "c", 3, weights)) is None


@pytest.mark.parametrize("name", FILES)
def test_file_that_is_missing_or_cut_off_is_named(tmp_path: Path, name: str) -> None:
    """Whichever it is, and wherever it ends."""
    file = save_whole_checkpoint(tmp_path / "c", 3) / name
    whole = file.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        flaw = flaw_of(file.parent)
        assert flaw is not None
        assert name in flaw
    file.unlink()
    flaw = flaw_of(file.parent)
    assert flaw is not None
    assert name in flaw or "no weights" in flaw


def test_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    """Large models are saved in several files."""
    folder = save_whole_checkpoint(tmp_path / "c", 3, "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert flaw_of(folder) == "it has no model-00002-of-00002.safetensors"
    save_weights(folder / shards["b"])
    assert flaw_of(folder) is None


def test_torn_checkpoint_is_refused_by_name_and_the_one_before_is_offered(tmp_path: Path) -> None:
    """Not one after it; and where there is none before, that is said."""
    for step in (4, 8, 12):
        save_whole_checkpoint(tmp_path / f"checkpoint-{step}", step)
    torn = tmp_path / "checkpoint-8"
    (torn / "optimizer.pt").unlink()
    with pytest.raises(ConfigError, match=r"checkpoint-8': .*optimizer\.pt.*: .*/checkpoint-4$"):
        checkpoint_of(str(torn), str(tmp_path))
    first = tmp_path / "checkpoint-4"
    (first / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigError, match="no earlier complete one"):
        checkpoint_of(str(first), str(tmp_path))


def test_latest_is_the_newest_whole_one(tmp_path: Path) -> None:
    """A newer one that a full disk tore is passed over, and named."""
    for step in (4, 8):
        save_whole_checkpoint(tmp_path / f"checkpoint-{step}", step)
    (tmp_path / "checkpoint-8" / "scheduler.pt").write_bytes(b"")
    with capture_logs() as lines:
        assert checkpoint_of("latest", str(tmp_path)) == tmp_path / "checkpoint-4"
    assert [Path(line["path"]).name for line in lines] == ["checkpoint-8"]
    (tmp_path / "checkpoint-4" / "rng_state.pth").unlink()
    with pytest.raises(
        ConfigError, match=r"no checkpoint in .*checkpoint-8 is unusable: its sched"
    ):
        checkpoint_of("latest", str(tmp_path))


def test_going_back_warns_of_what_latest_will_mean(tmp_path: Path) -> None:
    """Checkpoints of the way that was left have more steps than those of the new one."""
    for step in (4, 8):
        save_whole_checkpoint(tmp_path / f"checkpoint-{step}", step)
    with capture_logs() as lines:
        assert checkpoint_of(str(tmp_path / "checkpoint-8"), str(tmp_path)) is not None
        assert not lines
        checkpoint_of(str(tmp_path / "checkpoint-4"), str(tmp_path))
    assert [Path(line["latest"]).name for line in lines] == ["checkpoint-8"]
    renamed = save_whole_checkpoint(tmp_path / "elsewhere" / "best-7", 7)
    assert checkpoint_of(str(renamed), str(tmp_path)) == renamed
