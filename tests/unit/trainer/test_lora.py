"""Where in a model an adapter goes."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from shared.errors import ConfigError
from trainer.config import GRPOTrainingConfig
from trainer.lora import found_targets, lora_config

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
    with pytest.raises(
        ConfigError, match=r"it has c_attn, c_fc, c_proj\. Leave lora_targets out"
    ) as e:
        found_targets(model_of("gpt2"), wanted)
    assert (wanted or ["nothing"])[0] in e.value.message
