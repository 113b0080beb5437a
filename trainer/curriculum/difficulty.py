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

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import structlog
from pydantic import ValidationError

from shared.dataset import Message
from shared.errors import DatasetError
from shared.language.prompts import difficulty as junction_difficulty
from shared.language.prompts import read_prompt
from trainer.curriculum.buckets import GradedSample
from trainer.data.rows import is_finite

__all__ = [
    "PlanningDomain",
    "problem_sample",
    "row_sample",
    "samples_of",
    "settled",
    "warn_of_unreadable",
]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PlanningDomain:
    """How the difficulty of a planning problem follows from the counts in its file's name."""

    name: str
    weights: Mapping[str, int]
    """By the letter that precedes the count."""
    ends_with_seed: bool = False
    """Whether the last ``s`` is the generator's seed, although ``s`` is also a count."""
    needs_all: bool = True
    """Whether a name without one of the counts is unreadable; otherwise that count is 0."""

    def difficulty(self, words: Sequence[str]) -> float | None:
        """The weighted sum of the counts.

        Args:
            words: The words of a file's name.

        Returns:
            None if a count is missing or occurs twice.
        """
        counts = [match.groups() for word in words if (match := _COUNT.fullmatch(word))]
        if self.ends_with_seed:
            last = max((at for at, (letter, _) in enumerate(counts) if letter == "s"), default=-1)
            counts = [count for at, count in enumerate(counts) if at != last]
        used = [(letter, int(number)) for letter, number in counts if letter in self.weights]
        found = Counter(letter for letter, _ in used)
        is_short = len(found) < len(self.weights) if self.needs_all else not found
        if is_short or found.most_common(1)[0][1] > 1:
            return None
        return float(sum(self.weights[letter] * number for letter, number in used))


_COUNT = re.compile(r"([a-z])([0-9]+)")
_WORDS = re.compile(r"[-_.\s]+")

_BLOCKSWORLD = PlanningDomain("blocksworld", {"n": 5})
_KNOWN = {
    "bw": _BLOCKSWORLD,
    "blocksworld": _BLOCKSWORLD,
    "ferry": PlanningDomain("ferry", {"l": 5, "c": 3}),
    "grippers": PlanningDomain("grippers", {"n": 5, "r": 3, "o": 2}),
    "spanner": PlanningDomain("spanner", {"n": 5, "l": 3, "s": 2}, ends_with_seed=True),
}
"""By the first word of the file name; folders bear the same names."""
_DOMAINS = frozenset(known.name for known in _KNOWN.values())

_GENERAL = PlanningDomain("general", {"n": 5, "r": 3, "o": 2}, needs_all=False)
"""For every other name: its domain is its first word, if a difficulty can be read at all."""


def problem_sample(name: str) -> GradedSample:
    """A planning problem by the name of its file.

    | file | difficulty |
    |---|---|
    | ``bw_ops3_n4_seed200074.pddl`` | 5n |
    | ``ferry-l4-c2-s122320450.pddl`` | 5l + 3c |
    | ``grippers-n1-r4-o3-s299249445.pddl`` | 5n + 3r + 2o |
    | ``spanner-s3-n2-l4-s1595284416.pddl`` | 5n + 3l + 2s; the last s is the seed |
    | any other with some of these | 5n + 3r + 2o |

    A name that says no domain is of its folder's: a folder that is called as one of the four, or
    else one whose name is the domain's.

    Args:
        name: With or without folders and suffix.

    >>> problem_sample("spanner-s3-n2-l4-s1595284416.pddl")
    GradedSample(domain='spanner', difficulty=28.0)
    >>> problem_sample("rooms-n2-r4-s7.pddl")
    GradedSample(domain='rooms', difficulty=22.0)
    >>> problem_sample("ferry/first-l3-c1.pddl"), problem_sample("ferry/notes.pddl")
    (GradedSample(domain='ferry', difficulty=18.0), GradedSample(domain='ferry', difficulty=None))
    >>> problem_sample("notes.pddl")
    GradedSample(domain='general', difficulty=None)
    """
    path = PurePath(name)
    words = [word for word in _WORDS.split(path.stem.lower()) if word]
    folder = path.parent.name.lower()
    if known := _KNOWN.get(words[0] if words else "") or _KNOWN.get(folder):
        return GradedSample(known.name, known.difficulty(words))
    difficulty = _GENERAL.difficulty(words)
    if difficulty is None:
        return GradedSample(folder or _GENERAL.name, None)
    is_named = not _COUNT.fullmatch(words[0])
    named = words[0].rstrip("0123456789") if is_named else folder
    return GradedSample(named or _GENERAL.name, difficulty)


def row_sample(row: Mapping[str, Any]) -> GradedSample:
    """A dataset's row; see the table above for the columns that count."""
    problem = problem_sample(str(row["problem_file"])) if row.get("problem_file") else None
    state = str(row.get("state_id") or "").partition("@")[0]
    domain = row.get("scenario") or (problem.domain if problem else state or _GENERAL.name)
    if is_finite(known := row.get("difficulty")):
        return GradedSample(str(domain), float(known))
    found = problem.difficulty if problem else _from_prompt(row.get("prompt"))
    return GradedSample(str(domain), found)


def samples_of(rows: Sequence[Mapping[str, Any]]) -> list[GradedSample]:
    """Every row as a sample, in order; logs once per domain how many could not be read."""
    names = [str(row.get("problem_file") or row.get("state_id")) for row in rows]
    samples = settled([row_sample(row) for row in rows], names)
    warn_of_unreadable(samples, names)
    return samples


def settled(samples: Sequence[GradedSample], names: Sequence[str]) -> list[GradedSample]:
    """The samples, those of no readable difficulty in the domain that their folder's others have.

    A name that cannot be read must not make a domain of its own: every batch would need it.

    Args:
        samples: What was read.
        names: The file of each; those of one folder belong together.

    >>> names = ["all/ferry-l3-c1.pddl", "all/notes.pddl"]
    >>> settled([problem_sample(name) for name in names], names)[1]
    GradedSample(domain='ferry', difficulty=None)
    """
    folders = [str(PurePath(name).parent) for name in names]
    domains: dict[str, Counter[str]] = {}
    for folder, sample in zip(folders, samples, strict=True):
        if sample.difficulty is not None:
            domains.setdefault(folder, Counter())[sample.domain] += 1
    return [
        GradedSample(domains[folder].most_common(1)[0][0], None)
        if sample.difficulty is None
        and folder in domains
        and sample.domain not in domains[folder]
        and sample.domain not in _DOMAINS
        else sample
        for folder, sample in zip(folders, samples, strict=True)
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
