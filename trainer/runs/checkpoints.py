"""Whether a checkpoint is whole: a disk that fills, or a process that is killed, leaves torn ones.

Looks at every file that a run goes on from, and at its end, without loading it. Which checkpoint a
run takes is :mod:`trainer.runs.startup`'s.
"""

import json
import zipfile
from pathlib import Path

__all__ = ["flaw_of", "steps_of", "whole_checkpoints"]

_STATE = "trainer_state.json"
_PICKLED = {
    "optimizer.pt": "the optimizer would begin anew",
    "scheduler.pt": "the learning rate would begin anew",
}
_WEIGHTS = ("adapter_model.safetensors", "model.safetensors")
_OLD_WEIGHTS = ("adapter_model.bin", "pytorch_model.bin")
_HEAD_BYTES = 8


def flaw_of(checkpoint: Path) -> str | None:
    """What keeps a run from going on from a checkpoint; None where it is whole."""
    try:
        if (reason := _flaw_of_state(checkpoint / _STATE)) is not None:
            return reason
        for name, loss in _PICKLED.items():
            if not (checkpoint / name).is_file():
                return f"it has no {name}: {loss}"
            if not zipfile.is_zipfile(checkpoint / name):
                return f"its {name} is cut off"
        if not any(checkpoint.glob("rng_state*.pth")):
            return "it has no rng_state.pth: other answers would be drawn"
        for file in checkpoint.glob("rng_state*.pth"):
            if not zipfile.is_zipfile(file):
                return f"its {file.name} is cut off"
        return _flaw_of_weights(checkpoint)
    except OSError as exc:
        return f"it cannot be read: {exc.strerror}"


def whole_checkpoints(folder: Path) -> tuple[list[tuple[int, Path]], list[tuple[Path, str]]]:
    """The whole checkpoints in a run's folder with their steps, and the others with their flaws."""
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
    """The steps in a checkpoint's name; None where there are none."""
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None


def _flaw_of_state(file: Path) -> str | None:
    if not file.is_file():
        return f"it has no {file.name}"
    try:
        int(json.loads(file.read_bytes())["global_step"])
    except (ValueError, KeyError, TypeError):
        return f"its {file.name} is cut off, or does not say how many steps were made"
    return None


def _flaw_of_weights(checkpoint: Path) -> str | None:
    index = checkpoint / "model.safetensors.index.json"
    names = [name for name in _WEIGHTS if (checkpoint / name).is_file()]
    if index.is_file():
        try:
            names += sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"its {index.name} is cut off"
    for name in names:
        if not (checkpoint / name).is_file():
            return f"it has no {name}"
        if not _is_whole(checkpoint / name):
            return f"its {name} is cut off"
    old = [name for name in _OLD_WEIGHTS if (checkpoint / name).is_file()]
    for name in old:
        if not zipfile.is_zipfile(checkpoint / name):
            return f"its {name} is cut off"
    return None if names or old else "it has no weights"


def _is_whole(file: Path) -> bool:
    """Whether a file of weights is as long as it says.

    It begins with the length of a header, in 8 bytes, and the header, which is JSON and tells where
    each tensor is: https://huggingface.co/docs/safetensors.
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
