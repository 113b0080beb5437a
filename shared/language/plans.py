"""Plans out of the texts that models write: steps, one a line, ``(pick-up a)``."""

import random
import re
from dataclasses import dataclass

from shared.errors import InvalidDecision
from shared.language.reasoning import split_reasoning

__all__ = ["MAX_STEPS", "Plan", "Step", "format_share", "plan_text", "read_plan", "renumbered"]

MAX_STEPS = 1000
"""Steps that one plan can have."""
_MAX_WORDS = 32

Step = tuple[str, ...]
"""An action and its arguments, in lower case."""

_OBJECTS = re.compile(r"\(:objects([^()]*)\)", re.IGNORECASE)
_NUMBERED = re.compile(r"\b([a-z]+)([0-9]+)\b", re.IGNORECASE)
_NUMBERS = 30
"""Renumbered objects have numbers from 1 to this, where there are no more of them."""

_NUMBER = re.compile(r"(?:step\s+)?[0-9]{1,4}\s*[.:)]\s*", re.IGNORECASE)
_STEP = re.compile(r"\(([^()]*)\)")
_ENDS = re.compile(r"(?:\s*(?:<\|\w{1,40}\|>|</s>|<eos>|<end_of_turn>))+\s*\Z")
"""The tokens with which models end an answer; some trainers send them along."""


@dataclass(frozen=True)
class Plan:
    """A plan and how it stood in its text."""

    steps: tuple[Step, ...]
    is_bare: bool
    """Whether the text holds nothing else."""


def read_plan(text: str) -> Plan:
    r"""The plan in a completion.

    A line is read if it holds steps in parentheses and nothing else but a number before them;
    comments (``;``) and other lines are passed over, and so are tokens that end an answer. What a
    model has reasoned does not count.

    Args:
        text: The completion.

    Raises:
        InvalidDecision: ``no_plan``, ``plan_too_long``.

    >>> read_plan("(pick-up a)\n(stack a b)\n; cost = 2").steps
    (('pick-up', 'a'), ('stack', 'a', 'b'))
    >>> read_plan("Here it is:\n1. (Pick-Up A)").is_bare
    False
    >>> read_plan("(pick-up a)<|im_end|>").steps
    (('pick-up', 'a'),)
    """
    answer = split_reasoning(text).answer
    if answer is None:
        raise InvalidDecision("the reasoning was cut off before a plan", "no_plan")
    answer = _ENDS.sub("", answer)
    steps: list[Step] = []
    is_bare = True
    for line in answer.splitlines():
        words = line.partition(";")[0].strip()
        if not words:
            continue
        found = _steps(words)
        is_bare = is_bare and bool(found) and words.startswith("(")
        steps += found
        if len(steps) > MAX_STEPS:
            raise InvalidDecision(f"the plan has more than {MAX_STEPS} steps", "plan_too_long")
    if not steps:
        raise InvalidDecision(
            "the completion holds no plan: write one step a line, (action argument …)", "no_plan"
        )
    return Plan(tuple(steps), is_bare)


def format_share(text: str) -> float:
    r"""How well a completion keeps to the format: 1 bare, 0 within other text, -1 no plan.

    >>> format_share("(pick-up a)"), format_share("Sure:\n(pick-up a)"), format_share("no")
    (1.0, 0.0, -1.0)
    """
    try:
        plan = read_plan(text)
    except InvalidDecision:
        return -1.0
    return 1.0 if plan.is_bare else 0.0


def plan_text(steps: tuple[Step, ...]) -> str:
    r"""A plan as a model should write it.

    >>> plan_text((("pick-up", "a"), ("stack", "a", "b")))
    '(pick-up a)\n(stack a b)'
    """
    return "\n".join(f"({' '.join(step)})" for step in steps)


def renumbered(problem: str, chance: random.Random, plan: str = "") -> tuple[str, str]:
    """The same problem and plan, with other numbers in the names of objects.

    No two objects get the same number, so that a number alone tells which is meant; none says
    anything about its object. Names without a number stay as they are.

    Args:
        problem: PDDL, with its ``(:objects …)``.
        chance: Draws the numbers.
        plan: For the problem.

    >>> renumbered("(:objects a1 a2 b1) (:init (on a1 b1))", random.Random(1), "(move a1 a2)")
    ('(:objects a5 a19 b28) (:init (on a5 b28))', '(move a5 a19)')
    """
    listed = " ".join(_OBJECTS.findall(problem)).lower()
    names = list(dict.fromkeys(_NUMBERED.findall(listed)))
    drawn = chance.sample(range(1, max(_NUMBERS, len(names)) + 1), len(names))
    new = {
        kind + number: f"{kind}{other}" for (kind, number), other in zip(names, drawn, strict=True)
    }

    def replaced(text: str) -> str:
        return _NUMBERED.sub(lambda match: new.get(match[0].lower(), match[0]), text)

    return replaced(problem), replaced(plan)


def _steps(line: str) -> list[Step]:
    """The steps of a line that holds nothing else."""
    line = _NUMBER.sub("", line, count=1) if line[:1] != "(" else line
    if _STEP.sub("", line).strip():
        return []
    found = [tuple(inner.lower().split()[:_MAX_WORDS]) for inner in _STEP.findall(line)]
    return [step for step in found if step]
