"""The messages to and from the process that parses PDDL: JSON over a connection."""

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
    """Parse the problem, execute a plan, or take random legal steps."""
    domain: str
    problem: str
    steps: tuple[tuple[str, ...], ...] = ()
    """The plan to validate."""
    seed: int = 0
    """Seed of the walk."""
    most: int = Field(default=0, ge=0)
    """Maximum number of steps of the walk."""


class Verdict(WireModel):
    """The result: metrics, a walk, or an error; none of them if a problem was parsed."""

    metrics: PlanMetrics | None = None
    walk: tuple[tuple[str, ...], ...] | None = None
    error: ErrorInfo | None = None
    about: Literal["plan", "problem", "work"] = "work"
    """What the error is about: a plan that does not fit the domain, a problem that cannot be
    parsed, or the validator itself."""

    def check(self) -> None:
        """Raises the error, if there is one.

        Raises:
            InvalidDecision: The plan does not fit the domain.
            ProblemError: The problem cannot be parsed.
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
