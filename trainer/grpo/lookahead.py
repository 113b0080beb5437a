"""Simulates the next batch on the service while the model works on the current one.

The rows of a batch are read one batch before they are used, and an *extend* decision has two
answers. Both are requested as soon as a row is read, once per run, so that the service knows them
by the time the model has answered. The responses are ignored: a decision that could not be
simulated ahead is requested again when the model has made it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer.grpo.batch_scorer import BatchScorer

__all__ = ["LookAhead"]


class LookAhead:
    """A data collator that only announces upcoming rows to the service.

    Args:
        scorer: The scorer of the run.
        loop: Returns the event loop of the scorer.
    """

    def __init__(self, scorer: BatchScorer, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._scorer = scorer
        self._loop = loop
        self._known: set[tuple[str, str]] = set()

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Returns the rows unchanged."""
        extending = [row for row in rows if row["decision_kind"] == "extend"]
        points = dict.fromkeys((row["state_id"], row["tls_id"]) for row in extending)
        unknown = [point for point in points if point not in self._known]
        if unknown:
            self._known.update(unknown)
            asyncio.run_coroutine_threadsafe(self._scorer.look_ahead(unknown), self._loop())
        return rows
