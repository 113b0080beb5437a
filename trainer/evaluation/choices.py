"""What a policy answered at a decision point, before anybody says what that is worth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.decisions import Decision
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Worth

__all__ = ["Judged", "Policy", "PolicyAnswer", "Progress"]

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Judged:
    """A decision point and what its decisions are worth."""

    point: DecisionPoint
    worth: Worth


@dataclass(frozen=True)
class PolicyAnswer:
    """One answer of a policy."""

    decision: Decision | None
    """None where it is invalid."""
    code: str | None = None
    """Why it is invalid."""
    is_strict: bool | None = None
    """Whether it is the JSON that was asked for and nothing else; None of what is no text."""


class Policy(Protocol):
    """Somebody who decides."""

    @property
    def name(self) -> str:
        """For tables."""

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The answers at each point, in order; at least one each, and equally many.

        Args:
            judged: The points. Only the oracle, and whoever picks among what is legal, looks at
                what decisions are worth.
            progress: Told how far it is.
        """
