"""Selections as tensors, in the form expected by the losses of :mod:`trainer.offline`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainer.offline.advantages import top_candidates
from trainer.offline.batches import EncodedGroup
from trainer.pointer.beams import BeamGroup
from trainer.pointer.model import PAD

__all__ = ["collate", "encode", "lengths_of"]


def lengths_of(groups: Sequence[BeamGroup]) -> tuple[int, bool]:
    """The longest selection, and whether there are shorter ones.

    If there are, the end of a selection is a choice, too, and counts towards the length.
    """
    lengths = {len(one.tokens or ()) for group in groups for one in group.candidates}
    has_end = len(lengths) > 1
    return max(lengths) + has_end, has_end


def encode(
    groups: Sequence[BeamGroup],
    rows: Sequence[int],
    advantages: Sequence[Sequence[float]],
    top_k: int,
    end: int | None,
) -> list[EncodedGroup]:
    """The queries as the selector reads them.

    Args:
        groups: The queries.
        rows: The rows of their embeddings.
        advantages: Advantages of the candidates of each query.
        top_k: Number of candidates used in early epochs of stage 2.
        end: The choice that ends a selection; None if all have the same length.
    """
    return [
        EncodedGroup(
            prompt=(row,),
            candidates=tuple(_ended(one.tokens or (), end) for one in group.candidates),
            advantages=tuple(worth),
            is_top=tuple(top_candidates(worth, top_k)),
            scores=tuple(one.score for one in group.scored),
        )
        for group, row, worth in zip(groups, rows, advantages, strict=True)
    ]


def _ended(places: tuple[int, ...], end: int | None) -> tuple[int, ...]:
    return places if end is None else (*places, end)


def collate(groups: Sequence[EncodedGroup], embeddings: Tensor) -> dict[str, Tensor]:
    """A batch: the candidates of all groups one after the other, C in total.

    Args:
        groups: At least one.
        embeddings: Embeddings of all queries, (rows, query_size).

    Returns:
        ``queries`` (C, query_size), ``targets`` (C, T) with ``PAD``, and what
        :func:`trainer.offline.batches.collate` adds.
    """
    rows = [group.prompt[0] for group in groups for _ in group.candidates]
    candidates = [torch.tensor(one) for group in groups for one in group.candidates]
    targets = pad_sequence(candidates, batch_first=True, padding_value=PAD)
    batch = {
        "queries": embeddings[torch.tensor(rows)],
        "targets": targets,
        "mask": (targets != PAD).float(),
        "advantages": torch.tensor([a for group in groups for a in group.advantages]),
        "scores": torch.tensor([s for g in groups for s in g.scores], dtype=torch.float64),
        "is_top": torch.tensor([top for group in groups for top in group.is_top]),
        "sizes": torch.tensor([len(group.candidates) for group in groups]),
    }
    if stored := [one for group in groups for one in group.stored or ()]:
        batch["stored"] = pad_sequence(stored, batch_first=True)
    return batch
