"""The problems of a planning dataset, as evaluations take them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import ConfigError, DatasetError
from trainer.curriculum import buckets_of
from trainer.curriculum.buckets import Level
from trainer.curriculum.difficulty import samples_of
from trainer.data.prompts import read_rows

__all__ = ["PlanProblem", "read_plan_problems", "reference_plans"]


@dataclass(frozen=True)
class PlanProblem:
    """A row of a planning dataset."""

    problem_id: str
    prompt: tuple[Mapping[str, str], ...]
    domain: str
    """As the curriculum tells domains apart."""
    level: Level
    plan: str | None
    """The reference plan."""
    plan_steps: int | None = None
    """How many steps it has."""


def read_plan_problems(root: Path, split: str) -> list[PlanProblem]:
    """The rows of a split, or of both (``all``).

    Raises:
        DatasetError: There are none.
    """
    splits = ("train", "eval") if split == "all" else (split,)
    rows: list[dict[str, Any]] = []
    for name in splits:
        rows += read_rows(root / f"{name}.jsonl")
    if not rows:
        raise DatasetError(f"{root} has no rows of the split {split}")
    samples = samples_of(rows)
    levels: dict[int, Level] = {
        number: level
        for bucket in buckets_of(samples)
        for level, numbers in bucket.rows.items()
        for number in numbers
    }
    return [
        PlanProblem(
            problem_id=row["problem_id"],
            prompt=tuple(row["prompt"]),
            domain=sample.domain,
            level=levels[number],
            plan=row.get("plan"),
            plan_steps=row.get("plan_steps"),
        )
        for number, (row, sample) in enumerate(zip(rows, samples, strict=True))
    ]


def reference_plans(problems: Sequence[PlanProblem]) -> list[tuple[str]]:
    """The planner as a policy: one plan for each problem.

    Raises:
        ConfigError: The dataset was built without one.
    """
    if any(problem.plan is None for problem in problems):
        raise ConfigError("the dataset has no reference plans: leave --baseline oracle out")
    return [(problem.plan or "",) for problem in problems]
