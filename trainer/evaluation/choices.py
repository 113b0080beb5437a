"""What a policy answered at a decision point, before that is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.decisions import Decision
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Worth

__all__ = ["Judged", "Policy", "PolicyAnswer", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, how much of it is done, and how much there is in all."""


@dataclass(frozen=True)
class Judged:
    """A decision point, with the worth of its decisions."""

    point: DecisionPoint
    worth: Worth


@dataclass(frozen=True)
class PolicyAnswer:
    """One answer of a policy."""

    decision: Decision | None
    """None if the answer is invalid."""
    code: str | None = None
    """Why it is invalid."""
    is_strict: bool | None = None
    """Whether it is exactly the JSON that was asked for; None if the answer is not text."""
    text: str | None = field(default=None, compare=False)
    """What was written, if the answer is text."""


class Policy(Protocol):
    """Anything that makes decisions."""

    @property
    def name(self) -> str:
        """The name shown in tables."""

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The answers at each point, in order; the same number at each, and at least one.

        Args:
            judged: The points. Only the oracle, and policies that pick among the legal decisions,
                may look at the worth.
            progress: Called as the policy proceeds.
        """
