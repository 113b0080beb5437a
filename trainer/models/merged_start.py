"""A start that is an adapter, kept as the whole model that a new adapter is put on.

An adapter names the model under it. What a run that starts from an adapter trains is put on that
adapter merged into its model, which lies in no folder yet: without one, the new adapter would name
the model without the first, and be loaded onto that.
"""

from pathlib import Path

from trainer.models.loading import LoadedModel
from trainer.ranks import is_first_rank

__all__ = ["keep_merged_start"]


def keep_merged_start(loaded: LoadedModel, model_path: str, output_dir: Path) -> None:
    """Saves what a new adapter will be put on, where it lies nowhere yet, and names it.

    Does nothing for a start that is a whole model, and where no new adapter will be made.

    Args:
        loaded: As :func:`trainer.models.loading.load_model` gives it, without the new adapter.
        model_path: What the run starts from.
        output_dir: Of the run; ``start/`` is written in it.
    """
    is_adapter = (Path(model_path) / "adapter_config.json").is_file()
    if loaded.lora is None or not is_adapter:
        return
    folder = output_dir.resolve() / "start"
    if is_first_rank():
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
    loaded.model.name_or_path = str(folder)
