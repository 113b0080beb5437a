"""What supervised training goes on from."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import ConfigError
from tests.unit.trainer.evaluation.small_dataset import Moment
from tests.unit.trainer.sft.lesson_points import save_lessons
from tests.unit.trainer.whole_checkpoint import save_whole_checkpoint
from trainer.runs.origin import ModelOrigin
from trainer.sft import SFTTrainingConfig
from trainer.sft.run import prepare_sft

Settings = Callable[..., SFTTrainingConfig]


def _save_model(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8}))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Makes the settings of a run of all weights on a few lessons."""
    rows = save_lessons(tmp_path / "rows", [Moment()] * 4)

    def make(model: Path | str, **changes: object) -> SFTTrainingConfig:
        values: dict[str, object] = {"dataset_path": str(rows), "source": "format", "lora_rank": 0}
        values |= {"check_rows": 0, "device": "cpu", "output_dir": str(tmp_path / "run")}
        return SFTTrainingConfig(**{**values, "model_path": str(model), **changes})

    return make


def _save_checkpoint(config: SFTTrainingConfig) -> Path:
    folder = save_whole_checkpoint(Path(config.output_dir) / "checkpoint-3", 3)
    ModelOrigin.of(config).write(folder)
    return folder


def test_checkpoint_of_another_model(settings: Settings, tmp_path: Path) -> None:
    """Of the same shape: both are named, and nothing is trained."""
    own, other = (_save_model(tmp_path / name, name.encode()) for name in ("own", "two"))
    checkpoint = _save_checkpoint(settings(own))
    assert prepare_sft(settings(own, resume_from_checkpoint="latest")).checkpoint == checkpoint
    with pytest.raises(ConfigError, match=rf"'{own}', but model_path is '{other}'"):
        prepare_sft(settings(other, resume_from_checkpoint="latest"))


def test_new_model_is_made_once(settings: Settings, tmp_path: Path) -> None:
    """A resumed run takes the one that its run made, wherever it writes to itself."""
    assert prepare_sft(settings("new")).start.model_path == str(tmp_path / "run" / "untrained")
    untrained = _save_model(tmp_path / "run" / "untrained", b"made")
    checkpoint = str(_save_checkpoint(settings(untrained)))
    elsewhere = {"output_dir": str(tmp_path / "elsewhere"), "resume_from_checkpoint": checkpoint}
    assert prepare_sft(settings("new", **elsewhere)).start.model_path == str(untrained)


def test_checkpoint_without_its_new_model(settings: Settings, tmp_path: Path) -> None:
    """Of a run from another model, or alone."""
    _save_checkpoint(settings(_save_model(tmp_path / "own", b"own")))
    with pytest.raises(ConfigError, match=r"untrained does not exist"):
        prepare_sft(settings("new", resume_from_checkpoint="latest"))
