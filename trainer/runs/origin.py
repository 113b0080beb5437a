"""Which model a checkpoint was trained from, so that it is not loaded onto a different one.

Every checkpoint contains ``origin.json``. Models are identified by their weights, not by their
path, because a run may be moved to another machine.
"""

from pathlib import Path
from typing import ClassVar

from shared.errors import ConfigError
from trainer.models.adapters import fingerprint
from trainer.models.loading import model_folder
from trainer.records import Record, read_json
from trainer.runs.resumption import ALL
from trainer.settings import ModelSettings, RunSettings

__all__ = ["ModelOrigin", "check_origin", "fingerprint"]

_SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")


class ModelOrigin(Record):
    """The model that a run started from, and the adapter that it trains."""

    file_name: ClassVar[str] = "origin.json"

    model_path: str
    fingerprint: str
    lora_rank: int
    lora_alpha: int

    @classmethod
    def of(cls, config: ModelSettings) -> "ModelOrigin":
        """The origin of a run with these settings."""
        return cls(
            model_path=config.model_path,
            fingerprint=fingerprint(model_folder(config.model_path)),
            lora_rank=config.lora_rank,
            lora_alpha=config.lora_alpha,
        )


def check_origin(checkpoint: Path | None, config: RunSettings) -> None:
    """Checks that a checkpoint, if there is one, belongs to the model that is to be trained.

    ``resume_changes`` can permit a different model, but not a different adapter.

    Args:
        checkpoint: The checkpoint to resume from.
        config: The settings of the run.

    Raises:
        ConfigError: The model or the adapter differs; the message names both.
    """
    if checkpoint is None:
        return
    may_differ = not {"model_path", ALL}.isdisjoint(config.resume_changes)
    if (origin := ModelOrigin.read(checkpoint)) is None:
        _check_foreign(checkpoint, config, may_differ)
        return
    own = ModelOrigin.of(config)
    if origin.fingerprint != own.fingerprint and not may_differ:
        raise _another(checkpoint, origin.model_path, config)
    _check_rank(checkpoint, origin.lora_rank, config)
    if config.lora_rank and origin.lora_alpha != config.lora_alpha:
        raise ConfigError(
            f"the adapter in {checkpoint} has lora_alpha {origin.lora_alpha}, the settings say "
            f"{config.lora_alpha}; set lora_alpha: {origin.lora_alpha}, or start from scratch"
        )


def _check_foreign(checkpoint: Path, config: ModelSettings, may_differ: bool) -> None:
    """The same check for a checkpoint without ``origin.json``, from its other files."""
    adapter = read_json(checkpoint / "adapter_config.json")
    _check_rank(checkpoint, int(adapter.get("r", 0)), config)
    if may_differ:
        return
    folder = model_folder(config.model_path)
    base = Path(
        str(read_json(folder / "adapter_config.json").get("base_model_name_or_path", folder))
    )
    if adapter:
        theirs = str(adapter.get("base_model_name_or_path"))
        if Path(theirs).resolve() != base.resolve():
            raise _another(checkpoint, theirs, config)
        return
    found, wanted = read_json(checkpoint / "config.json"), read_json(base / "config.json")
    if [found.get(name) for name in _SHAPE] != [wanted.get(name) for name in _SHAPE]:
        shape = ", ".join(f"{name} {found.get(name)}" for name in _SHAPE)
        raise _another(checkpoint, f"one with {shape}", config)


def _check_rank(checkpoint: Path, rank: int, config: ModelSettings) -> None:
    if rank != config.lora_rank:
        has = f"an adapter of rank {rank}" if rank else "all weights, no adapter"
        raise ConfigError(
            f"{checkpoint} contains {has}, but lora_rank is {config.lora_rank}; set lora_rank: "
            f"{rank}, or start from scratch"
        )


def _another(checkpoint: Path, theirs: str, config: ModelSettings) -> ConfigError:
    return ConfigError(
        f"resume_from_checkpoint: {checkpoint} was trained from the model {theirs!r}, but "
        f"model_path is {config.model_path!r}, a different model; set model_path to the former, "
        "start from scratch, or resume anyway with --set 'resume_changes=[model_path]'"
    )
