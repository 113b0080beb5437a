"""The files of a planning dataset: its problems, its rows, and where they are."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from shared.dataset import Message
from shared.errors import DatasetError
from shared.files import os_errors
from shared.model import WireModel

__all__ = [
    "DOMAIN_FILE",
    "PlanningLayout",
    "PlanningManifest",
    "PlanningRow",
    "ProblemRecord",
    "ProblemText",
    "Split",
    "problem_id_of",
    "read_problems",
]

Split = Literal["train", "eval"]
DOMAIN_FILE = "domain.pddl"
_DIGITS = 12


def problem_id_of(name: str, domain: str, problem: str) -> str:
    """The id of a problem: its name and a digest of both texts.

    >>> problem_id_of("p1", "(define (domain d))", "(define (problem p1))")
    'p1-a018915aeeed'
    """
    texts = hashlib.sha256(domain.encode() + b"\0" + problem.encode()).hexdigest()
    return f"{name}-{texts[:_DIGITS]}"


@dataclass(frozen=True)
class ProblemText:
    """A problem with its texts, as needed for validating plans."""

    record: "ProblemRecord"
    domain: str
    problem: str


class ProblemRecord(WireModel):
    """One line of a planning dataset's ``problems.jsonl``."""

    problem_id: str
    """``<name of the file>-<12 hex of the SHA-256 of domain and problem>``."""
    name: str
    """Name of the file, without its suffix."""
    pddl_domain: str
    """Domain as the curriculum distinguishes them: by file names or folders."""
    problem_file: str
    """Path relative to the dataset; its ``domain.pddl`` is in the same folder."""
    difficulty: float = Field(ge=0)
    split: Split
    plan: tuple[tuple[str, ...], ...] | None = None
    """A plan that reaches the goals; None if there was no planner."""


class PlanningRow(WireModel):
    """A problem in the form used for training."""

    prompt: tuple[Message, ...]
    domain: Literal["planning"] = "planning"
    problem_id: str
    problem_file: str
    difficulty: float
    plan: str | None = None
    """The reference plan, as a model should write it."""
    plan_steps: int | None = None


class PlanningManifest(WireModel):
    """``planning.json``."""

    format: Literal[1] = 1
    greenfork: str
    """Version of the program that built it."""
    seed: int
    planner: str | None
    problems: dict[str, dict[Split, int]]
    """Number of problems by domain and split."""


class PlanningLayout:
    """Paths of a planning dataset's files under its root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "planning.json"
        self.problems = root / "problems.jsonl"

    def rows(self, split: Split) -> Path:
        """The rows of one split."""
        return self.root / f"{split}.jsonl"

    @property
    def is_there(self) -> bool:
        """Whether this is a planning dataset."""
        return self.manifest.is_file()


def read_problems(root: Path) -> Iterator[ProblemText]:
    """The problems of a dataset, in order.

    Raises:
        DatasetError: A file is missing or was changed.
    """
    layout, domains = PlanningLayout(root), dict[Path, str]()
    with os_errors(DatasetError, f"cannot read {layout.problems}"):
        lines = layout.problems.read_text().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = ProblemRecord.model_validate_json(line)
        except ValidationError as exc:
            raise DatasetError(f"{layout.problems}, line {number}: {exc}") from exc
        file = root / record.problem_file
        beside = file.with_name(DOMAIN_FILE)
        with os_errors(DatasetError, f"cannot read {file} and its {DOMAIN_FILE}"):
            domain = domains.setdefault(beside, beside.read_text())
            problem = file.read_text()
        if problem_id_of(record.name, domain, problem) != record.problem_id:
            raise DatasetError(
                f"{file} or its {DOMAIN_FILE} is not what {record.problem_id} was built from",
                "changed_problem",
            )
        yield ProblemText(record, domain, problem)
