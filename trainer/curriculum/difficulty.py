"""The domain and the difficulty of samples: of our decision points, and of planning problems.

| sample | domain | difficulty |
|---|---|---|
| a row with ``difficulty`` | its ``scenario`` | that number, as the dataset's builder computed it |
| a row without | its ``scenario``, or that name in ``state_id`` | the same formula, of its prompt |
| a row with ``problem_file`` | by the file's name, else by its folder | by the file's name |

The formula for decision points is :func:`shared.language.prompts.difficulty`: how evenly matched
the current green and its strongest rival are. Levels are percentiles within a domain, so that the
scales of different domains need not agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from pydantic import ValidationError

from shared.dataset import Message
from shared.domains.problem_names import GENERAL, read_problem_name, read_problem_names
from shared.errors import DatasetError
from shared.language.prompts import difficulty as junction_difficulty
from shared.language.prompts import read_prompt
from trainer.curriculum.buckets import GradedSample
from trainer.data.rows import is_finite

__all__ = [
    "problem_sample",
    "row_sample",
    "samples_of",
    "settled",
    "warn_of_unreadable",
]

log = structlog.get_logger(__name__)


def problem_sample(name: str) -> GradedSample:
    """A planning problem by the name of its file; see :func:`read_problem_name`.

    >>> problem_sample("ferry-l4-c2-s122320450.pddl")
    GradedSample(domain='ferry', difficulty=26.0)
    """
    read = read_problem_name(name)
    return GradedSample(read.domain, read.difficulty)


def row_sample(row: Mapping[str, Any]) -> GradedSample:
    """A dataset's row; see the table above for the columns that count."""
    problem = problem_sample(str(row["problem_file"])) if row.get("problem_file") else None
    state = str(row.get("state_id") or "").partition("@")[0]
    domain = row.get("scenario") or (problem.domain if problem else state or GENERAL)
    if is_finite(known := row.get("difficulty")):
        return GradedSample(str(domain), float(known))
    found = problem.difficulty if problem else _from_prompt(row.get("prompt"))
    return GradedSample(str(domain), found)


def samples_of(rows: Sequence[Mapping[str, Any]]) -> list[GradedSample]:
    """Every row as a sample, in order; logs once per domain how many could not be read."""
    files = [str(row["problem_file"]) if row.get("problem_file") else None for row in rows]
    samples = settled([row_sample(row) for row in rows], files)
    warn_of_unreadable(
        samples, [str(row.get("problem_file") or row.get("state_id")) for row in rows]
    )
    return samples


def settled(samples: Sequence[GradedSample], files: Sequence[str | None]) -> list[GradedSample]:
    """The samples, each problem in the domain that :func:`read_problem_names` has for it.

    Args:
        samples: What was read of each alone.
        files: The problem's file of each; None of a decision point.

    >>> files = ["all/ferry-l3-c1.pddl", "all/notes.pddl"]
    >>> settled([problem_sample(file) for file in files], files)[1]
    GradedSample(domain='ferry', difficulty=None)
    """
    named = [file for file in files if file is not None]
    domains = {
        file: (read_problem_name(file).domain, read.domain)
        for file, read in zip(named, read_problem_names(named), strict=True)
    }
    return [
        replace(sample, domain=domains[file][1])
        if file is not None and sample.domain == domains[file][0]
        else sample
        for sample, file in zip(samples, files, strict=True)
    ]


def warn_of_unreadable(samples: Sequence[GradedSample], names: Sequence[str]) -> None:
    """Logs how many samples of each domain have no readable difficulty, with one as an example."""
    lost: dict[str, list[str]] = {}
    for sample, name in zip(samples, names, strict=True):
        if sample.difficulty is None:
            lost.setdefault(sample.domain, []).append(name)
    for domain, found in lost.items():
        log.warning(
            "no readable difficulty; counted as easy",
            domain=domain,
            samples=len(found),
            first=found[0],
        )


def _from_prompt(prompt: object) -> float | None:
    """The difficulty of the junction that a prompt describes; None if it describes none."""
    if not isinstance(prompt, list) or not prompt:
        return None
    try:
        junction = read_prompt([Message.model_validate(prompt[-1])])
    except (DatasetError, ValidationError):
        return None
    return junction_difficulty(junction.current_phase, junction.phases)
