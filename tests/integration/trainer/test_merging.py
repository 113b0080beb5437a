"""An adapter of any rank is merged into its model before Unsloth sees it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from trainer import GRPOTrainingConfig
from trainer.grpo.preflight import Preflight
from trainer.models.adapters import is_adapter
from trainer.models.loading import Hardware, LoadedModel
from trainer.models.merging import merged_start
from trainer.runs.reports import RunFiles
from trainer.runs.training_run import TrainingRun

_GPU = Hardware("cuda", is_bf16=False, backend="unsloth")
_IDS = torch.tensor([[3, 4, 5]])


@pytest.fixture
def adapter(tiny_llama: Path, tmp_path: Path) -> Path:
    """Of rank 16, with weights that change what the model says."""
    torch.manual_seed(3)
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_llama)
    trained = get_peft_model(model, LoraConfig(r=16, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    trained.save_pretrained(tmp_path / "adapter")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


class _Run(TrainingRun[Any, Any, Any, Any]):
    """Loads, and no more."""

    verb = "grpo"

    def train(self) -> LoadedModel:
        """As the real ones begin."""
        return self._load()

    def plot(self) -> None:
        """Nothing."""


def test_unsloth_is_given_a_full_model(
    adapter: Path, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what an SFT adapter of rank 16 learned, as the frozen start of one of rank 32."""
    seen = list[Path]()

    def load(folder: Path, config: GRPOTrainingConfig) -> LoadedModel:
        seen.append(folder)
        assert config.lora_rank == 32
        assert not is_adapter(folder)
        return LoadedModel(AutoModelForCausalLM.from_pretrained(folder), None, None)

    monkeypatch.setattr("trainer.models.loading._load_unsloth", load)
    config = GRPOTrainingConfig(
        model_path=str(adapter), output_dir=str(tmp_path / "run"), lora_rank=32
    )
    ready: Any = Preflight.__new__(Preflight)
    object.__setattr__(ready, "hardware", _GPU)
    loaded = _Run(config, ready, RunFiles.of(config, "p.png"), show_progress=False).train()
    assert seen == [(tmp_path / "run" / "start").resolve()]
    base: Any = AutoModelForCausalLM.from_pretrained(tiny_llama)
    expected = PeftModel.from_pretrained(base, adapter)
    with torch.no_grad():
        said, wanted = loaded.model(_IDS).logits, expected(_IDS).logits
        torch.testing.assert_close(said, wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad(), expected.disable_adapter():
        assert not torch.allclose(said, expected(_IDS).logits, atol=1e-2)


def test_a_full_model_stays_where_it_is(tiny_llama: Path, tmp_path: Path) -> None:
    """Nothing is saved."""
    config = GRPOTrainingConfig(model_path=str(tiny_llama))
    assert merged_start(config, _GPU, tmp_path / "start") is config
    assert not (tmp_path / "start").exists()
