"""How much worse decisions are than the best known ones, where a dataset's rows tell.

Rows that were built with every legal decision's outcome know the regret of any of them without a
simulation: over the horizon that the dataset was built with, in vehicles, whatever trains the
model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from shared.dataset import Outcome
from shared.decisions import Decision
from shared.validation import without_nulls
from trainer.evaluation.worth import Worth, stored_worth

__all__ = ["KnownRegrets"]


class KnownRegrets:
    """Regrets in vehicles; reads the outcomes of each decision point once."""

    def __init__(self) -> None:
        self._worths: dict[object, Worth | None] = {}

    def mean(
        self,
        points: Sequence[object],
        outcomes: Sequence[Sequence[Mapping[str, Any]] | None],
        decisions: Sequence[Decision | None],
    ) -> float | None:
        """The mean over a batch.

        Args:
            points: What tells the decision points apart, the kind of decision among it, one a
                completion.
            outcomes: The column of the rows, as :class:`shared.dataset.Outcome` is written.
            decisions: What was decided; None where no decision was read.

        Returns:
            Vehicles, from 0 up; None where no decision is among its point's outcomes.

        >>> veh = {"queue_veh_max": 9, "wait_s": 0, "throughput_veh": 0, "pressure_veh": 0,
        ...     "network_queue_veh": 0}
        >>> known = [{"decision": {"kind": "extend", "extend": is_yes, "extend_s": 5},
        ...     "metrics": {"queue_veh": queue, **veh}}
        ...     for is_yes, queue in ((True, 4.0), (False, 1.5))]
        >>> from shared.decisions import Extend
        >>> KnownRegrets().mean("ab", [known, None], [Extend(extend=True), Extend(extend=True)])
        2.5
        """
        found = [
            regret
            for point, known, decision in zip(points, outcomes, decisions, strict=True)
            if decision is not None
            and (regret := self._regret(point, known or (), decision)) is not None
        ]
        return sum(found) / len(found) if found else None

    def _regret(
        self, point: object, outcomes: Sequence[Mapping[str, Any]], decision: Decision
    ) -> float | None:
        if point not in self._worths:
            self._worths[point] = _worth(outcomes)
        worth = self._worths[point]
        chosen = None if worth is None else worth.find(decision)
        return None if worth is None or chosen is None else worth.regret_veh(chosen)


def _worth(outcomes: Sequence[Mapping[str, Any]]) -> Worth | None:
    """The decisions at a point by their queues; None where nothing, or nothing of ours, is there.

    A table of rows fills what one of them lacks with None, which is taken out again.
    """
    try:
        known = [Outcome.model_validate(without_nulls(outcome)) for outcome in outcomes]
    except ValidationError:
        return None
    return stored_worth(known, "queue")
