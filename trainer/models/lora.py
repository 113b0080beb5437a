"""The LoRA adapter of a run, and where in a model it goes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError

if TYPE_CHECKING:
    from peft import LoraConfig

    from trainer.settings import ModelSettings

__all__ = ["found_targets", "lora_config"]

_USUAL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All attention and feed-forward projections, by the names of Llama and its kin."""


def lora_config(config: "ModelSettings", model: Any) -> "LoraConfig":  # noqa: ANN401
    """The adapter that the settings ask for.

    Raises:
        ConfigError: The model has no layers of the names that are asked for.
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
        wanted: Names, or ends of dotted names; None for the usual ones, or where the model calls
            its layers otherwise, for all linear layers but the one that makes logits.

    Raises:
        ConfigError: The model lacks one that is wanted, or has no linear layers; those that it has
            are named.
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
            f"{', '.join(known)}. Leave lora_targets out to have them found"
        )
    return list(wanted)


def _is_end(wanted: str, name: str) -> bool:
    return name == wanted or name.endswith(f".{wanted}")


def _linear_layers(model: Any) -> list[str]:  # noqa: ANN401
    """The dotted names of the linear layers, but for the one that makes logits."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, Linear | Conv1D) and layer is not head
    ]


def _is_transposed(model: Any, targets: Sequence[str]) -> bool:  # noqa: ANN401
    """Whether the layers keep their weights the other way round, as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(
        isinstance(layer, Conv1D) and any(_is_end(one, name) for one in targets)
        for name, layer in model.named_modules()
    )
