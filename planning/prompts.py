"""Planning problems as prompts.

The domain is in the system message, which is the same for all of its problems, so that the small
model learns it as a single token.
"""

import re

from shared.dataset import Message

__all__ = ["planning_prompt"]

_TASK = (
    "You are a planner. Read the domain and the problem, and answer with a plan that reaches the "
    "goal: one action per line in parentheses, (action argument ...), and nothing else."
)
_COMMENT = re.compile(r";[^\n]*")
_HEAD = re.compile(r"^\(define \(problem [^()]*\)\s*", re.IGNORECASE)
_DOMAIN = re.compile(r"\(:domain [^()]*\)\s*", re.IGNORECASE)


def planning_prompt(domain: str, problem: str) -> tuple[Message, ...]:
    r"""The messages that ask for a plan.

    Args:
        domain: The domain in PDDL.
        problem: The problem in PDDL. Its name is left out, as it does not matter for the plan.

    >>> text = "(define (problem p)\n (:domain d) ; of mine\n (:objects a)\n (:goal (and (at a))))"
    >>> planning_prompt("(define (domain d))", text)[-1].content
    '(:objects a) (:goal (and (at a)))'
    """
    return (
        Message(role="system", content=f"{_TASK}\n\n{_flat(domain)}"),
        Message(role="user", content=_DOMAIN.sub("", _HEAD.sub("", _flat(problem)))[:-1].strip()),
    )


def _flat(text: str) -> str:
    return " ".join(_COMMENT.sub("", text).split())
