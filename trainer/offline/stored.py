"""The log-probabilities that stage 2 compares against, kept beside its checkpoints.

They are computed once, from the model that the stage starts from. A run resumed in the middle of
the stage no longer has that model, so it reads them from the file.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from shared.errors import ConfigError
from trainer.offline.batches import EncodedGroup

__all__ = ["StoredLogps"]

_DIGEST = "candidates"


class StoredLogps:
    """A file of log-probabilities.

    Args:
        path: A safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, groups: Sequence[EncodedGroup], logps: Sequence[Tensor]) -> None:
        """Stores the log-probabilities of all candidates of the groups, in order."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lengths = torch.tensor([len(one) for one in logps])
        values = {"logps": torch.cat(list(logps)), "lengths": lengths}
        save_file(values, self._path, {_DIGEST: _digest(groups)})

    def read(self, groups: Sequence[EncodedGroup]) -> list[Tensor]:
        """The log-probabilities stored for these groups.

        Raises:
            ConfigError: There are none, or they are of other candidates.
        """
        try:
            with safe_open(self._path, "pt") as file:
                digest = (file.metadata() or {}).get(_DIGEST)
            values = load_file(self._path)
        except (OSError, SafetensorError) as exc:
            raise ConfigError(
                f"stage 2 cannot be resumed without the log-probabilities in {self._path}: {exc}"
            ) from exc
        if digest != _digest(groups):
            raise ConfigError(
                f"{self._path} contains the log-probabilities of other candidates: resume with the "
                "candidates, tokenizer and seed of the original run"
            )
        return list(values["logps"].split_with_sizes(values["lengths"].tolist()))


def _digest(groups: Sequence[EncodedGroup]) -> str:
    """The SHA-256 of the groups' tokens, 64 hex digits."""
    tokens = [(group.prompt, group.candidates) for group in groups]
    return hashlib.sha256(repr(tokens).encode()).hexdigest()
