"""Chooses solved points for the prompts of an evaluation: nearest, random, or by a selector."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigError
from trainer.evaluation.points import DecisionPoint
from trainer.examples.building import load_reader
from trainer.examples.solved import ExamplePool, SolvedPoint, shown

if TYPE_CHECKING:
    import torch

__all__ = ["ExampleChooser", "check_way"]

_POINTER = "pointer:"
_SIMPLE = ("none", "random", "nearest")


def check_way(way: str) -> str:
    """Returns a way to choose, after checking it.

    Raises:
        ConfigError: There is no such way.
    """
    if way in _SIMPLE or (way.startswith(_POINTER) and way != _POINTER):
        return way
    raise ConfigError(f"--examples {way}: use none, random, nearest or pointer:FOLDER")


@dataclass(frozen=True)
class ExampleChooser:
    """One way to choose from a folder of examples.

    Args:
        way: ``random``, ``nearest`` or ``pointer:FOLDER``.
        folder: Made by ``greenfork dataset examples``.
        seed: The seed for ``random``.
    """

    way: str
    folder: Path
    seed: int = 0

    def prompts(self, points: Sequence[DecisionPoint]) -> list[list[dict[str, str]]]:
        """The points' prompts, each with the examples chosen for it.

        Raises:
            DatasetError: The folder is not a folder of examples.
            ModelError: The selector, or the model whose embeddings it reads, is missing.
            ConfigError: The selector was trained on another pool.
        """
        pool = ExamplePool(self.folder)
        record, solved = pool.record, pool.points()
        chosen = self._chosen(pool, points, record.length)
        return [
            shown(point.prompt, self._apart(point, places, solved), record.prompt_form)
            for point, places in zip(points, chosen, strict=True)
        ]

    def _apart(
        self, point: DecisionPoint, places: Sequence[int], solved: Sequence[SolvedPoint]
    ) -> list[SolvedPoint]:
        """The chosen points; never the point itself, which would reveal the answer."""
        return [solved[n] for n in places if solved[n].state_id != point.place.state_id]

    def _chosen(
        self, pool: ExamplePool, points: Sequence[DecisionPoint], length: int
    ) -> list[tuple[int, ...]]:
        if self.way == "random":
            order = random.Random(self.seed)  # noqa: S311 - not for secrets
            count = len(pool.points())
            return [tuple(order.sample(range(count), length)) for _ in points]
        import torch

        from trainer.pointer.embeddings import read_embeddings
        from trainer.pointer.selection import load_pointer, select

        record = pool.record
        questions = [shown(point.prompt, (), record.prompt_form) for point in points]
        asked = torch.from_numpy(load_reader(record.model).embeddings(questions))
        items = torch.from_numpy(read_embeddings(pool.pool_embeddings).checked().vectors)
        if self.way == "nearest":
            return _nearest(asked, items, length)
        selector = load_pointer(self.way.removeprefix(_POINTER))
        if not torch.equal(selector.pool, items):  # type: ignore[arg-type]
            raise ConfigError(f"--examples {self.way}: the selector was trained on another pool")
        return [found[0].places for found in select(selector, asked, 5, length)]


def _nearest(asked: "torch.Tensor", items: "torch.Tensor", length: int) -> list[tuple[int, ...]]:
    """The nearest items by cosine similarity, after subtracting the pool's mean."""
    from torch.nn.functional import normalize

    mean, scale = items.mean(0), items.std(0).clamp(min=1e-6)
    alike = normalize((asked - mean) / scale, dim=-1) @ normalize((items - mean) / scale, dim=-1).T
    return [tuple(row) for row in alike.topk(length).indices.tolist()]
