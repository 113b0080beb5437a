"""Which of the scored candidates a model would choose, without generating anything."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainer.offline.batches import Collator, EncodedGroup, by_group, candidate_logps
from trainer.offline.candidates import CandidateGroup

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["Choices", "assess", "logps_of", "write_samples"]

_SAMPLES = 20


@dataclass(frozen=True)
class Choices:
    """The likeliest candidate of each query against the best one, summed over queries."""

    queries: int
    regret: float
    """Best score minus the likeliest candidate's score, in the unit of the scores."""
    agreeing: int
    """Queries whose likeliest candidate has the best score."""

    @classmethod
    def of(cls, logps: Tensor, batch: dict[str, Tensor]) -> "Choices":
        """Compares the candidates within each group of a batch.

        Args:
            logps: (C, T), 0 at padding: a candidate's log-probability is the sum of its row.
            batch: As returned by :func:`trainer.offline.batches.collate`.

        >>> batch = {"scores": torch.tensor([3.0, 1.0]), "sizes": torch.tensor([2])}
        >>> Choices.of(torch.tensor([[-2.0], [-1.0]]), batch)
        Choices(queries=1, regret=2.0, agreeing=0)
        """
        sizes = batch["sizes"]
        likely, scored = by_group(logps.sum(-1), sizes), by_group(batch["scores"], sizes)
        regrets = [
            float(scores.max() - scores[totals.argmax()])
            for totals, scores in zip(likely, scored, strict=True)
        ]
        return cls(len(sizes), sum(regrets), regrets.count(0.0))


def assess(
    model: "Module", groups: Sequence[EncodedGroup], collator: Collator, batch_size: int
) -> Choices | None:
    """What the model would choose; None if there are no queries."""
    if not groups:
        return None
    parts = [
        Choices.of(logps, batch) for logps, batch in _passes(model, groups, collator, batch_size)
    ]
    return Choices(
        sum(part.queries for part in parts),
        sum(part.regret for part in parts),
        sum(part.agreeing for part in parts),
    )


def logps_of(
    model: "Module", groups: Sequence[EncodedGroup], collator: Collator, batch_size: int
) -> list[Tensor]:
    """The log-probabilities of the tokens of every candidate, in order, on the CPU."""
    found: list[Tensor] = []
    for logps, batch in _passes(model, groups, collator, batch_size):
        lengths = batch["mask"].sum(-1).int().tolist()
        found += [row[:length].cpu() for row, length in zip(logps, lengths, strict=True)]
    return found


def write_samples(
    path: Path,
    model: "Module",
    queries: Sequence[CandidateGroup],
    groups: Sequence[EncodedGroup],
    collator: Collator,
    step: int,
) -> None:
    """Writes the likeliest candidate of some queries, one JSON object per line, for reports.

    Args:
        path: The file.
        model: The model, which is not changed.
        queries: The queries as they were read.
        groups: The same as the model reads them, without those that are too long. The first are
            taken.
        collator: Makes batches of them.
        step: The step after which they are asked.
    """
    taken, by_place = groups[:_SAMPLES], {one.where: one for one in queries}
    sums = [float(logps.sum()) for logps in logps_of(model, taken, collator, len(taken))]
    lines = []
    for group in taken:
        own, sums = sums[: len(group.candidates)], sums[len(group.candidates) :]
        query, likeliest = by_place[group.where], own.index(max(own))
        candidate, best = query.candidates[likeliest], max(group.scores)
        score = group.scores[likeliest]
        lines.append(
            {
                "step": step,
                "prompt": list(query.prompt),
                "answer": f"{candidate.tokens}" if candidate.text is None else candidate.text,
                "status": "the best candidate" if score == best else f"the best has {best:g}",
                "reward": score,
            }
        )
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def _passes(
    model: "Module", groups: Sequence[EncodedGroup], collator: Collator, batch_size: int
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """A forward pass over every batch, without gradient."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    found = []
    with torch.no_grad():
        for start in range(0, len(groups), batch_size):
            batch = collator(groups[start : start + batch_size])
            batch = {name: value.to(device) for name, value in batch.items()}
            found.append((candidate_logps(model, batch), batch))
    model.train(was_training)
    return found
