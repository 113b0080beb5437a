"""Where in a model an adapter goes."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from shared.errors import ConfigError
from trainer.grpo.config import GRPOTrainingConfig
from trainer.models.lora import found_targets, lora_config

LLAMA = {"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}


def model_of(kind: str, **more: object) -> Any:  # noqa: ANN401 - an untyped library
    """A tiny one."""
    shape = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    if kind == "gpt2":
        shape = {"vocab_size": 40, "n_embd": 16, "n_layer": 1, "n_head": 2}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(shape | more))
    return AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("kind", "more", "names"),
    [
        ("llama", {"intermediate_size": 16, "num_key_value_heads": 2}, LLAMA),
        ("gpt2", {}, {"c_attn", "c_fc", "c_proj"}),
        (
            "phi3",
            {"intermediate_size": 16, "num_key_value_heads": 2, "pad_token_id": 0},
            {"down_proj", "gate_up_proj", "o_proj", "qkv_proj"},
        ),
        (
            "gpt_neox",
            {"intermediate_size": 16},
            {"dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"},
        ),
    ],
)
def test_projections_are_found_whatever_they_are_called(
    kind: str, more: dict[str, object], names: set[str]
) -> None:
    """But not the layer that makes logits; and the adapter can be put there."""
    model = model_of(kind, **more)
    assert set(found_targets(model, None)) == names
    adapter = lora_config(GRPOTrainingConfig(lora_rank=2), model)
    adapted = get_peft_model(model, adapter)
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained} == names


def test_targets_can_be_named() -> None:
    """By their names, or by more of their dotted ones."""
    config = GRPOTrainingConfig(lora_rank=2, lora_targets=["c_attn", "mlp.c_proj"])
    adapter = lora_config(config, model_of("gpt2"))
    assert adapter.target_modules == {"c_attn", "mlp.c_proj"}
    assert adapter.fan_in_fan_out


@pytest.mark.parametrize("wanted", [["q_proj", "c_attn"], ["lm_head"], ["attn"], ["oj"], []])
def test_targets_that_are_not_there_are_named(wanted: list[str]) -> None:
    """With those that are."""
    with pytest.raises(ConfigError, match=r"it has c_attn, c_fc, c_proj\. Omit lora_targets") as e:
        found_targets(model_of("gpt2"), wanted)
    assert (wanted or ["nothing"])[0] in e.value.message


@pytest.mark.parametrize(("dtype", "difference"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_a_merged_model_answers_as_its_adapter(dtype: str, difference: float) -> None:
    """With tied embeddings, too; in bf16 up to the rounding of the weights."""
    shape = {"intermediate_size": 32, "num_key_value_heads": 2, "tie_word_embeddings": True}
    model = model_of("llama", **shape, initializer_range=0.1).to(getattr(torch, dtype))
    whole: Any = get_peft_model(model, lora_config(GRPOTrainingConfig(lora_rank=4), model))
    for name, weight in whole.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    ids = torch.arange(40).reshape(8, 5)
    with torch.no_grad():
        before = whole.get_base_model().lm_head.weight.clone()
        adapted = whole(ids).logits.float()
        with whole.disable_adapter():
            plain = whole(ids).logits.float()
        merged = whole.merge_and_unload()
        assert (merged(ids).logits.float() - adapted).abs().max() < difference
    assert (adapted - plain).abs().max() > 2 * difference, "the adapter changes something"
    assert merged.lm_head.weight is merged.get_input_embeddings().weight
    assert torch.equal(merged.lm_head.weight, before)
