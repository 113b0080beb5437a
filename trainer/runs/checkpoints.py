"""Checks that checkpoints are complete: a full disk or a killed process leaves truncated files.

Examines every file that a resumed run needs, without loading it. :mod:`trainer.runs.startup`
chooses the checkpoint.
"""

import json
import zipfile
from pathlib import Path

__all__ = ["flaw_of", "steps_of", "whole_checkpoints"]

_STATE = "trainer_state.json"
_PICKLED = {
    "optimizer.pt": "the optimizer would start from scratch",
    "scheduler.pt": "the learning rate schedule would start again",
}
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors")
_OLD_WEIGHTS = ("adapter_model.bin", "pytorch_model.bin")
_HEAD_BYTES = 8


def flaw_of(checkpoint: Path) -> str | None:
    """Why a run cannot resume from a checkpoint; None if it is complete."""
    try:
        if (reason := _flaw_of_state(checkpoint / _STATE)) is not None:
            return reason
        for name, loss in _PICKLED.items():
            if not (checkpoint / name).is_file():
                return f"it has no {name}: {loss}"
            if not zipfile.is_zipfile(checkpoint / name):
                return f"its {name} is truncated"
        if not any(checkpoint.glob("rng_state*.pth")):
            return "it has no rng_state.pth: different answers would be sampled"
        for file in checkpoint.glob("rng_state*.pth"):
            if not zipfile.is_zipfile(file):
                return f"its {file.name} is truncated"
        return _flaw_of_weights(checkpoint)
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"


def whole_checkpoints(folder: Path) -> tuple[list[tuple[int, Path]], list[tuple[Path, str]]]:
    """The complete checkpoints in a folder with their steps, and the others with their flaws."""
    whole, flawed = [], []
    for path in sorted(folder.glob("checkpoint-*")):
        step = steps_of(path)
        if step is None or not path.is_dir():
            continue
        if (flaw := flaw_of(path)) is None:
            whole.append((step, path))
        else:
            flawed.append((path, flaw))
    return sorted(whole), flawed


def steps_of(checkpoint: Path) -> int | None:
    """The number of steps in a checkpoint's name; None if there is none."""
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def _flaw_of_state(file: Path) -> str | None:
    if not file.is_file():
        return f"it has no {file.name}"
    try:
        int(json.loads(file.read_bytes())["global_step"])
    except (ValueError, KeyError, TypeError):
        return f"its {file.name} is truncated, or does not contain the number of steps"
    return None


def _flaw_of_weights(checkpoint: Path) -> str | None:
    index = checkpoint / "model.safetensors.index.json"
    names = [name for name in _WEIGHTS if (checkpoint / name).is_file()]
    if index.is_file():
        try:
            names += sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"its {index.name} is truncated"
    for name in names:
        if not (checkpoint / name).is_file():
            return f"it has no {name}"
        if not _is_whole(checkpoint / name):
            return f"its {name} is truncated"
    old = [name for name in _OLD_WEIGHTS if (checkpoint / name).is_file()]
    for name in old:
        if not zipfile.is_zipfile(checkpoint / name):
            return f"its {name} is truncated"
    return None if names or old else "it has no weights"


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file has the length that its header declares.

    The file starts with the length of the header in 8 bytes, followed by the header: JSON with the
    offsets of each tensor. See https://huggingface.co/docs/safetensors.
    """
    size = file.stat().st_size
    with file.open("rb") as weights:
        head_bytes = int.from_bytes(weights.read(_HEAD_BYTES), "little")
        if not 0 < head_bytes <= size - _HEAD_BYTES:
            return False
        try:
            head = json.loads(weights.read(head_bytes))
            ends = [one["data_offsets"][1] for name, one in head.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return False
    return bool(size == _HEAD_BYTES + head_bytes + max(ends, default=0))
