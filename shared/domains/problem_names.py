"""What the file name of a planning problem says: its domain, and how difficult it is.

Shared, because builders of datasets write difficulties and curricula read them.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

__all__ = [
    "GENERAL",
    "PLANNING_DOMAINS",
    "PlanningDomain",
    "ProblemName",
    "read_problem_name",
    "read_problem_names",
]


@dataclass(frozen=True)
class ProblemName:
    """A planning problem by the name of its file."""

    domain: str
    difficulty: float | None
    """Comparable within its domain; None where it could not be read."""


@dataclass(frozen=True)
class PlanningDomain:
    """How the difficulty of a planning problem follows from the counts in its file's name."""

    name: str
    weights: Mapping[str, int]
    """By the letter that stands before the count."""
    ends_with_seed: bool = False
    """Whether the last ``s`` is the generator's seed although ``s`` is a count, too."""
    needs_all: bool = True
    """Whether a name without one of the counts is unreadable; otherwise that count is 0."""

    def difficulty(self, words: Sequence[str]) -> float | None:
        """The weighted sum of the counts.

        Args:
            words: Of a file's name.

        Returns:
            None where a count is missing, or stands twice.
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
"""By the word that file names begin with, and by the names of folders."""
PLANNING_DOMAINS = frozenset(known.name for known in _KNOWN.values())

GENERAL = "general"
"""The domain of what says none, and lies in no folder."""
_OTHER = PlanningDomain(GENERAL, {"n": 5, "r": 3, "o": 2}, needs_all=False)
"""Of every other name: its domain is its first word where a difficulty can be read at all."""


def read_problem_name(name: str) -> ProblemName:
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

    >>> read_problem_name("spanner-s3-n2-l4-s1595284416.pddl")
    ProblemName(domain='spanner', difficulty=28.0)
    >>> read_problem_name("rooms-n2-r4-s7.pddl")
    ProblemName(domain='rooms', difficulty=22.0)
    >>> read_problem_name("ferry/first-l3-c1.pddl"), read_problem_name("ferry/notes.pddl")
    (ProblemName(domain='ferry', difficulty=18.0), ProblemName(domain='ferry', difficulty=None))
    >>> read_problem_name("notes.pddl")
    ProblemName(domain='general', difficulty=None)
    """
    path = PurePath(name)
    words = [word for word in _WORDS.split(path.stem.lower()) if word]
    folder = path.parent.name.lower()
    if known := _KNOWN.get(words[0] if words else "") or _KNOWN.get(folder):
        return ProblemName(known.name, known.difficulty(words))
    difficulty = _OTHER.difficulty(words)
    if difficulty is None:
        return ProblemName(folder or GENERAL, None)
    is_named = not _COUNT.fullmatch(words[0])
    named = words[0].rstrip("0123456789") if is_named else folder
    return ProblemName(named or GENERAL, difficulty)


def read_problem_names(names: Sequence[str]) -> list[ProblemName]:
    """Several problems, in order; what says neither domain nor difficulty is of its folder's.

    Such a name must not make a domain of its own, of which every batch would need some: it is of
    the domain that most of the readable names in its folder have.

    Args:
        names: With their folders.

    >>> read_problem_names(["all/ferry-l3-c1.pddl", "all/notes.pddl"])[1]
    ProblemName(domain='ferry', difficulty=None)
    """
    folders = [PurePath(name).parent for name in names]
    read = [read_problem_name(name) for name in names]
    domains: dict[PurePath, Counter[str]] = {}
    for folder, one in zip(folders, read, strict=True):
        if one.difficulty is not None:
            domains.setdefault(folder, Counter())[one.domain] += 1
    return [
        replace(one, domain=domains[folder].most_common(1)[0][0])
        if one.difficulty is None
        and folder in domains
        and one.domain not in domains[folder]
        and one.domain not in PLANNING_DOMAINS
        else one
        for folder, one in zip(folders, read, strict=True)
    ]
