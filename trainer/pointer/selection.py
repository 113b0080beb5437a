"""Choosing for new queries: a selector's most likely selections, found by beam search."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shared.errors import ModelError
from trainer.pointer.model import PointerModel

__all__ = ["Selection", "load_pointer", "select"]


@dataclass(frozen=True)
class Selection:
    """One sequence of items for a query."""

    places: tuple[int, ...]
    """Positions in the pool, in the order of the choices."""
    score: float
    """Log-probability of the selection; at most 0."""


def load_pointer(folder: str | Path) -> PointerModel:
    """The selector of a run.

    Raises:
        ModelError: The folder does not contain one.
    """
    path = Path(folder)
    inner = path / "model"
    found = inner if (inner / "config.json").is_file() else path
    if not (found / "config.json").is_file():
        raise ModelError(f"{folder} contains no selector: train one with --policy pointer")
    try:
        model: PointerModel = PointerModel.from_pretrained(found, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        raise ModelError(f"cannot load the selector {found}: {exc}") from exc
    if model.config.model_type != "greenfork_pointer":
        raise ModelError(f"{found} is a {model.config.model_type}, not a selector")
    model.eval()  # type: ignore[no-untyped-call]
    return model


def select(
    model: PointerModel, queries: Tensor, count: int = 5, length: int | None = None
) -> list[list[Selection]]:
    """The most likely selections for each query, best first.

    This is a beam search of width ``count``. It is exhaustive for selections of one item if the
    width is at least the number of items.

    Args:
        model: The selector.
        queries: Embeddings, (queries, query_size).
        count: Maximum number of selections per query.
        length: Items per selection; None for as many as in training, or as the selector decides.
    """
    with torch.no_grad():
        return [_searched(model, query, count, length) for query in queries]


def _searched(
    model: PointerModel, query: Tensor, count: int, length: int | None
) -> list[Selection]:
    shape = model.config
    end = shape.pool_size if shape.has_end and length is None else None
    steps = min(length or shape.length, shape.length, shape.pool_size + shape.has_end)
    beam, done = [Selection((), 0.0)], list[Selection]()
    for _ in range(steps):
        found = [
            Selection((*one.places, place), one.score + logp)
            for one, logps in zip(beam, _next(model, query, beam, end), strict=True)
            for place, logp in _likeliest(logps, count)
        ]
        found.sort(key=lambda one: -one.score)
        done += [Selection(one.places[:-1], one.score) for one in found if one.places[-1] == end]
        beam = [one for one in found if one.places[-1] != end][:count]
        if not beam:
            break
    whole = sorted(done or beam, key=lambda one: -one.score)
    return [one for one in whole if one.places][:count]


def _next(model: PointerModel, query: Tensor, beam: Sequence[Selection], end: int | None) -> Tensor:
    """The log-probabilities of each selection's next choice, (beam, items and end)."""
    chosen = torch.tensor([[*one.places, 0] for one in beam], device=query.device)
    logits = model.logits(query.expand(len(beam), -1), chosen)[:, -1]
    open_to = logits if end is not None else logits[:, : model.config.pool_size]
    return open_to.float().log_softmax(-1)


def _likeliest(logps: Tensor, count: int) -> list[tuple[int, float]]:
    """The most likely choices, one more than are kept, because the end does not count."""
    best = logps.topk(min(count + 1, len(logps)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(place, logp) for place, logp in pairs if logp > -torch.inf]
