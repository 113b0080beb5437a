"""Scored selections as a torch dataset, for training loops of your own."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from shared.errors import DatasetError
from trainer.pointer.beams import BeamGroup, beams_of
from trainer.pointer.model import PAD, PointerModel

__all__ = ["BeamDataset", "BeamItem"]


class BeamItem(dict[str, Tensor | str]):
    """One query: ``query_id``, ``beam_labels``, ``beam_rewards`` and, once it is known,
    ``old_logps``; available both as keys and as attributes.
    """

    def __getattr__(self, name: str) -> Tensor | str:
        try:
            return self[name]
        except KeyError as exc:
            raise AttributeError(name) from exc


class BeamDataset(Dataset[BeamItem]):
    """The ``beam_size`` best candidates of each query.

    Args:
        data: The result of ``json.load`` for a file of scored selections (:func:`beams_of`).
        beam_size: Number of candidates per query.
        pool_size: Number of items in the pool, to check positions against; None skips this check.

    Raises:
        DatasetError: A query is wrong, or has fewer candidates.
    """

    def __init__(self, data: object, beam_size: int = 5, *, pool_size: int | None = None) -> None:
        groups = beams_of(data, pool_size)
        if short := [one for one in groups if len(one.candidates) < beam_size]:
            raise DatasetError(
                f"{short[0].where}: {len(short[0].candidates)} candidates, but beam_size is "
                f"{beam_size}; pass a smaller beam_size, or leave the query out",
                "beam_size",
            )
        self._items = [_item(group, beam_size, _longest(groups)) for group in groups]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> BeamItem:
        """One query: labels (beam_size, T), padded with ``PAD``; rewards (beam_size,)."""
        return self._items[number]

    def freeze(self, model: PointerModel, queries: Tensor) -> None:
        """Adds ``old_logps``, the log-probabilities of the labels under a model, (beam_size, T).

        Args:
            model: The model from which a stage of GRPO starts. Its weights are not kept.
            queries: Embeddings in the order of the dataset, (queries, query_size).
        """
        was_training = model.training
        model.eval()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for item, query in zip(self._items, queries, strict=True):
                labels: Tensor = item["beam_labels"]  # type: ignore[assignment]
                item["old_logps"] = model(query.expand(len(labels), -1), labels)
        model.train(was_training)


def _longest(groups: Sequence[BeamGroup]) -> int:
    return max(len(one.tokens or ()) for group in groups for one in group.candidates)


def _item(group: BeamGroup, beam_size: int, length: int) -> BeamItem:
    """The best candidates in the order of the file."""
    ranked = sorted(range(len(group.candidates)), key=lambda n: -group.candidates[n].scored.score)
    kept = [group.candidates[number] for number in sorted(ranked[:beam_size])]
    labels = [[*(one.tokens or ()), *[PAD] * (length - len(one.tokens or ()))] for one in kept]
    return BeamItem(
        query_id=group.query_id,
        beam_labels=torch.tensor(labels),
        beam_rewards=torch.tensor([one.scored.score for one in kept]),
    )
