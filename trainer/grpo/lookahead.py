"""Has the service simulate the next batch while the model is busy with this one.

The rows of a batch are read one batch before they are used, and an *extend* decision has two
answers. Both are asked for as soon as a row is read, once in a run; by the time that the model has
given its answers, the service knows them. What comes back is not looked at: a decision that could
not be simulated ahead is asked for again, and counts, when the model has made it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.grpo.batch_scorer import BatchScorer

__all__ = ["LookAhead"]


class LookAhead:
    """A data collator that changes nothing and tells the service which rows are coming.

    Args:
        scorer: Through which the run asks for its rewards.
        loop: Gives the loop on which it does so.
    """

    def __init__(self, scorer: BatchScorer, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._scorer = scorer
        self._loop = loop
        self._known: set[tuple[str, str]] = set()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Takes the rows that are used next, and gives them back."""
        extending = [row for row in rows if row["decision_kind"] == "extend"]
        points = dict.fromkeys((row["state_id"], row["tls_id"]) for row in extending)
        unknown = [point for point in points if point not in self._known]
        if unknown:
            self._known.update(unknown)
            asyncio.run_coroutine_threadsafe(self._scorer.look_ahead(unknown), self._loop())
        return rows
