"""A tiny model, a dataset without states, and the settings that join them."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer import GRPOTrainingConfig

__all__: list[str] = []


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """A tiny model is slower with more."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _collecting_little() -> None:
    """Keeps what is imported late out of the collections of garbage that each training asks for."""
    from trl import GRPOTrainer, SFTTrainer

    assert GRPOTrainer
    assert SFTTrainer
    gc.freeze()


@pytest.fixture
def pictures() -> None:
    """Has pictures drawn: a third of a small run's time, so that only few tests ask for it."""


@pytest.fixture(autouse=True)
def _without_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves an empty file in place of each picture, but for tests that ask for ``pictures``."""

    def save(*drawn: object) -> None:
        target = Path(str(drawn[-1]))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()

    if "pictures" not in request.fixturenames:
        for name in ("grpo.run.plot_rewards", "sft.run.plot_loss", "offline.run.plot_offline"):
            monkeypatch.setattr(f"trainer.{name}", save)


@pytest.fixture(autouse=True)
def _without_cards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the cards that libraries write beside each checkpoint, but where pictures are."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("peft.PeftModel.create_or_update_model_card", lambda *_: None)
        for name in ("GRPOTrainer", "SFTTrainer"):
            monkeypatch.setattr(f"trl.{name}.create_model_card", lambda *_, **__: None)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model."""
    from tests.integration.trainer.tiny_llama import save_tiny_llama

    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Eight rows."""
    rows = [
        {
            "prompt": [
                {"role": "system", "content": "Control the light."},
                {"role": "user", "content": f'{{"queued":{number}}}'},
            ],
            "state_id": f"net@{number}-0123456789ab",
            "tls_id": "A",
            "decision_kind": "extend",
            "difficulty": 0.5,
        }
        for number in range(8)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def settings(
    tiny_llama: Path, rows_file: Path, tmp_path: Path
) -> Callable[..., GRPOTrainingConfig]:
    """Makes the settings of a run of a few steps."""

    def make(reward_url: str, **changes: object) -> GRPOTrainingConfig:
        values: dict[str, object] = {
            "model_path": str(tiny_llama),
            "dataset_path": str(rows_file),
            "output_dir": str(tmp_path / "run"),
            "reward_url": reward_url,
            "reward_retries": 0,
            "reward_outage_s": 0,
            "max_steps": 4,
            "batch_size": 8,
            "gradient_accumulation_steps": 1,
            "num_generations": 4,
            "max_new_tokens": 2,
            "max_seq_length": 200,
            "learning_rate": 0.01,
            "temperature": 1.0,
            "top_p": 1.0,
            "warmup_steps": 0,
            "logging_steps": 1,
            "save_steps": 2,
            "lora_rank": 4,
            "device": "cpu",
            "precision": "fp32",
        }
        return GRPOTrainingConfig(**{**values, **changes})

    return make
