"""Checkpoints that hold what a whole one holds, in a few bytes."""

import json
import zipfile
from pathlib import Path

__all__ = ["save_weights", "save_whole_checkpoint"]


def save_weights(file: Path, values: bytes = bytes(4)) -> None:
    """One tensor of 32-bit floats, as safetensors."""
    place = {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]}
    head = json.dumps({"w": place}).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + values)


def save_whole_checkpoint(folder: Path, step: int, weights: str = "model.safetensors") -> Path:
    """All that a run goes on from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data.pkl", name)
    save_weights(folder / weights)
    return folder
