"""A first look at a PDDL text before it is parsed: its size, its parentheses, its names.

This takes time proportional to the text's length and does not recurse, so a gateway can do it
itself. The full grammar is that of unified-planning, in :mod:`planning.problems`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.errors import ProblemError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Outline", "domain_outline", "problem_outline"]

MAX_BYTES = 2**18
"""Limit for one text: about the size of the largest problems in the classical tracks of the
planning competitions."""
MAX_DEPTH = 64
"""Maximum depth of nested parentheses."""

_TOKEN = re.compile(r";[^\n]*|[()]|[^\s();]+")


@dataclass(frozen=True)
class Outline:
    """The names that a text gives."""

    name: str
    """Name of the domain or problem, in lower case because PDDL ignores case."""
    domain: str
    """The domain to which a problem belongs; for a domain, its own name."""


def domain_outline(text: str) -> Outline:
    """The name of a domain.

    Raises:
        ProblemError: ``too_large``, or ``bad_pddl`` with the line and what was expected there.

    >>> domain_outline("(define (domain Ferry) (:requirements :strips))")
    Outline(name='ferry', domain='ferry')
    """
    head = _head("domain", text)
    return Outline(head[1], head[1])


def problem_outline(text: str) -> Outline:
    """The names of a problem and of its domain.

    Raises:
        ProblemError: ``too_large``; ``bad_pddl`` with the line and what was expected there;
            ``no_domain``: it does not say which domain it belongs to.

    >>> problem_outline("(define (problem p1) (:domain ferry) (:objects))")
    Outline(name='p1', domain='ferry')
    """
    name = _head("problem", text)[1]
    tokens = [word for _, word in _tokens("problem", text)]
    for place in range(len(tokens) - 1):
        if tokens[place] == ":domain" and tokens[place + 1] not in ("(", ")"):
            return Outline(name, tokens[place + 1])
    raise ProblemError("the problem does not name its domain: add (:domain NAME)", "no_domain")


def _head(kind: str, text: str) -> Sequence[str]:
    """The kind and the name in ``(define (kind name)``, in a complete text."""
    tokens = _checked(kind, text)
    for (line, word), wanted in zip(tokens, ("(", "define", "(", kind), strict=False):
        if word != wanted:
            raise _bad(kind, line, f"(define ({kind} NAME) …)", word)
    line, name = tokens[4] if len(tokens) > 4 else (1, "the end")
    if name in ("(", ")", "the end"):
        raise _bad(kind, line, f"the name of the {kind}", name)
    return kind, name


def _checked(kind: str, text: str) -> list[tuple[int, str]]:
    """The words and parentheses with their lines, after checking that parentheses match."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ProblemError(f"the {kind} is longer than {MAX_BYTES} bytes", "too_large")
    found, opened = list(_tokens(kind, text)), list[int]()
    for place, (line, word) in enumerate(found):
        if word == "(":
            opened.append(line)
            if len(opened) > MAX_DEPTH:
                raise ProblemError(
                    f"the {kind}, line {line}: more than {MAX_DEPTH} nested parentheses",
                    "too_deep",
                )
        elif word == ")":
            if not opened:
                raise _bad(kind, line, "the end of the text", ")")
            opened.pop()
        elif not opened:
            raise _bad(kind, line, "(", word)
        if not opened and place < len(found) - 1:
            raise _bad(kind, found[place + 1][0], "the end of the text", found[place + 1][1])
    if not found:
        raise _bad(kind, 1, f"(define ({kind} NAME) …)", "the end")
    if opened:
        last = text.count("\n") + 1
        raise _bad(kind, last, f") for the ( of line {opened[-1]}", "the end")
    return found


def _tokens(kind: str, text: str) -> Iterator[tuple[int, str]]:
    line, position = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        word = match.group()
        if not word.isascii() and not word.startswith(";"):
            raise _bad(kind, line, "letters, digits, - and _", word)
        if not word.startswith(";"):
            yield line, word.lower()


def _bad(kind: str, line: int, expected: str, found: str) -> ProblemError:
    shown = found if found == "the end" else ascii(found[:40])
    return ProblemError(f"the {kind}, line {line}: expected {expected}, found {shown}")
