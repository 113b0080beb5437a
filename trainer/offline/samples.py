"""Prompts of held-out queries and the candidates that the model finds likeliest.

``greenfork report`` shows them. Nothing is generated: an offline run compares candidates.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.offline.batches import Collator, EncodedGroup
from trainer.offline.candidates import CandidateGroup
from trainer.offline.likeliest import logps_of

if TYPE_CHECKING:
    from torch.nn import Module

__all__ = ["write_samples"]

_SAMPLES = 20


def write_samples(
    path: Path,
    model: "Module",
    queries: Sequence[CandidateGroup],
    groups: Sequence[EncodedGroup],
    collator: Collator,
    step: int,
) -> None:
    """Writes the likeliest candidate of some queries, one JSON object per line.

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
