"""The LoRA adapter of a run, and the layers that it is added to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig

    from trainer.settings import ModelSettings

__all__ = ["found_targets", "lora_config"]

_USUAL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All attention and feed-forward projections, by their names in Llama-like models."""


def lora_config(config: "ModelSettings", model: Any) -> "LoraConfig":  # noqa: ANN401
    """The adapter configuration from the settings.

    Raises:
        ConfigError: The model has no layers with the requested names.
    """
    from peft import LoraConfig

    targets = found_targets(model, config.lora_targets)
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=targets,
        fan_in_fan_out=_is_transposed(model, targets),
        task_type="CAUSAL_LM",
    )


def found_targets(model: Any, wanted: Sequence[str] | None) -> list[str]:  # noqa: ANN401
    """The names of the layers that get an adapter.

    Args:
        model: Of Transformers, without an adapter.
        wanted: Names, or suffixes of dotted names. None selects the usual ones or, if the model
            uses different names, all linear layers except the output layer.

    Raises:
        ConfigError: The model lacks a requested layer, or has no linear layers; the message lists
            those that it has.
    """
    names = _linear_layers(model)
    known = sorted({name.rpartition(".")[2] for name in names})
    if wanted is None:
        if not known:
            raise ConfigError("lora_targets: the model has no linear layers; set lora_rank: 0")
        return list(_USUAL) if set(_USUAL) <= set(known) else known
    missing = [one for one in wanted if not any(_is_end(one, name) for name in names)]
    if missing or not wanted:
        lacking = ", ".join(missing) or "nothing"
        raise ConfigError(
            f"lora_targets: the model has no linear layer called {lacking}; it has "
            f"{', '.join(known)}. Omit lora_targets to select them automatically"
        )
    return list(wanted)


def _is_end(wanted: str, name: str) -> bool:
    return name == wanted or name.endswith(f".{wanted}")


def _linear_layers(model: Any) -> list[str]:  # noqa: ANN401
    """The dotted names of the linear layers, except the output layer."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, Linear | Conv1D) and layer is not head
    ]


def _is_transposed(model: Any, targets: Sequence[str]) -> bool:  # noqa: ANN401
    """Whether the layers store transposed weights, as in GPT-2."""
    from transformers.pytorch_utils import Conv1D

    return any(
        isinstance(layer, Conv1D) and any(_is_end(one, name) for one in targets)
        for name, layer in model.named_modules()
    )
