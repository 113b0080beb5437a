"""What is said to the process that reads PDDL, and what that answers: JSON over a connection."""

from typing import Literal

from pydantic import Field

from planning.verdicts import PlanMetrics
from shared.errors import InvalidDecision, ProblemError
from shared.model import WireModel
from shared.wire.error_info import ErrorInfo

__all__ = ["Question", "Verdict"]


class Question(WireModel):
    """What to do with a problem."""

    verb: Literal["check", "judge", "walk"] = "judge"
    """Read the problem; carry a plan out; or walk legal steps by chance."""
    domain: str
    problem: str
    steps: tuple[tuple[str, ...], ...] = ()
    """The plan to judge."""
    seed: int = 0
    """Of the walk."""
    most: int = Field(default=0, ge=0)
    """Steps of the walk."""


class Verdict(WireModel):
    """What became of it: metrics, a walk, or an error; none of them where a problem was read."""

    metrics: PlanMetrics | None = None
    walk: tuple[tuple[str, ...], ...] | None = None
    error: ErrorInfo | None = None
    about: Literal["plan", "problem", "work"] = "work"
    """What the error is about: a plan that is none of the domain's, a problem that cannot be read,
    or the validator itself."""

    def check(self) -> None:
        """Returns where there is no error.

        Raises:
            InvalidDecision: The plan is none of the domain's.
            ProblemError: The problem cannot be read.
            RolloutError: Something went wrong.
        """
        if self.error is None:
            return
        match self.about:
            case "plan":
                raise InvalidDecision(self.error.message, self.error.code)
            case "problem":
                raise ProblemError(self.error.message, self.error.code)
        raise self.error.to_error()
