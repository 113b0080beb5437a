"""A pool and queries whose best selections follow from their embeddings."""

import json
from pathlib import Path

import numpy as np

from trainer.pointer.config import PointerConfig
from trainer.pointer.embeddings import write_embeddings

__all__ = ["ITEMS", "pointer_files", "pointer_settings"]

ITEMS, QUERIES, SIZE = 12, 60, 6


def pointer_files(folder: Path, seed: int = 3) -> dict[str, str]:
    """Writes a pool, queries and beams of five, as settings of a run.

    An item is worth its product with the query, rotated: what is alike is not what is good, so
    that the rotation has to be learned. A selection is worth the sum of its items, the first
    counting twice.
    """
    numbers = np.random.default_rng(seed)
    items = numbers.normal(size=(ITEMS, SIZE)).astype(np.float32)
    queries = numbers.normal(size=(QUERIES, SIZE)).astype(np.float32)
    worth = np.roll(queries, 1, axis=1) @ items.T
    beams = {}
    for query, values in enumerate(worth):
        order = np.argsort(-values)
        rest = numbers.permutation(order[2:])
        pairs = [order[:2], order[1::-1], rest[:2], rest[2:4], rest[4:6]]
        beams[f"q{query}"] = {
            "id_list": [[int(one) for one in pair] for pair in pairs],
            "score_list": [float(2 * values[a] + values[b]) for a, b in pairs],
        }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "beams.json").write_text(json.dumps(beams))
    (folder / "pool.txt").write_text("".join(f"item {n}\n" for n in range(ITEMS)))
    write_embeddings(folder / "items.npz", items)
    write_embeddings(folder / "queries.npz", queries, list(beams))
    return {
        "beam_data": str(folder / "beams.json"),
        "pool": str(folder / "pool.txt"),
        "pool_embeddings": str(folder / "items.npz"),
        "query_embeddings": str(folder / "queries.npz"),
    }


def pointer_settings(folder: Path, **changes: object) -> PointerConfig:
    """The settings of a short run on these files."""
    values: dict[str, object] = {
        **pointer_files(folder / "data"),
        "output_dir": str(folder / "run"),
        "hidden_size": 16,
        "layers": 1,
        "attention_heads": 2,
        "device": "cpu",
        "sft_epochs": 4,
        "sft_learning_rate": 0.01,
        "rce_epochs": 1,
        "grpo_epochs": 2,
        "logging_steps": 2,
    }
    return PointerConfig.checked(values | changes)
