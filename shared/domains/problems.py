"""The messages of ``/v1/problems``."""

from pydantic import Field

from shared.model import WireModel

__all__ = ["NewProblem", "ProblemPage", "ProblemView"]


class ProblemView(WireModel):
    """A problem that can be scored."""

    problem_id: str
    domain: str
    """As items say it: ``planning``."""
    group: str
    """What it belongs to within its domain: the PDDL domain of a planning problem."""
    difficulty: float | None = None
    created: bool = False
    """Whether it is new."""


class ProblemPage(WireModel):
    """A part of the list."""

    problems: tuple[ProblemView, ...]
    total: int = Field(ge=0)
    """Problems that match, on all pages together."""
    limit: int
    offset: int


class NewProblem(WireModel):
    """The body of ``PUT /v1/problems``."""

    name: str = Field(default="problem", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    """The first part of its id. A file name that carries a difficulty is understood."""
    domain: str = Field(min_length=1)
    """PDDL."""
    problem: str = Field(min_length=1)
    """PDDL."""
