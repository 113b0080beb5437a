"""Merges the adapter that a run starts from into its model, before another library loads it.

Unsloth takes a folder with an adapter for a run to go on with: it would train that adapter further,
and refuses one of another rank. Here an adapter is a part of the frozen start.
"""

from pathlib import Path
from typing import TypeVar

import structlog

from trainer.models.adapters import is_adapter
from trainer.models.loading import Hardware, load_model, pick_hardware
from trainer.settings import ModelSettings

__all__ = ["merged_start"]

_Config = TypeVar("_Config", bound=ModelSettings)

log = structlog.get_logger(__name__)


def merged_start(
    config: _Config, hardware: Hardware, folder: Path, is_writing: bool = True
) -> _Config:
    """The settings with a full model as their start.

    Args:
        config: The settings of a run.
        hardware: What it computes on; the merged weights are saved in its type.
        folder: Where the model is saved, if the run starts from an adapter.
        is_writing: Whether this rank saves it.

    Returns:
        ``config`` itself if it starts from a full model.

    Raises:
        ModelError: The adapter or its base model is missing or cannot be loaded.
    """
    if not is_adapter(Path(config.model_path)):
        return config
    if is_writing:
        plain = ModelSettings(
            model_path=config.model_path,
            base_path=config.base_path,
            backend="transformers",
            device="cpu",
            precision="fp32",
            lora_rank=0,
        )
        loaded = load_model(plain, pick_hardware(plain))
        loaded.model.to(hardware.dtype).save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        log.info("merged the adapter that the run starts from", model=str(folder))
    return config.model_copy(update={"model_path": str(folder), "base_path": None})
