"""Reading comprehension of a junction's state: questions with known answers.

A model that can find the longest queue in a prompt has learned the features that good decisions
are based on. Owns the questions; the answers come from
:func:`shared.language.prompts.read_prompt`.
"""

import json
import random
from collections.abc import Callable, Iterator

from shared.dataset import Message
from shared.language.prompts import Junction, LaneCounts, read_prompt
from trainer.evaluation.points import DecisionPoint

__all__ = ["Question", "pick_question", "questions"]

_SITUATION = (
    "You read the state of one traffic light. Each green phase lists the vehicles on its lanes: "
    "queued (standing), approaching (moving) and passed (left during its latest green). "
)

Question = tuple[str, str]
"""A question, as a system message, and its answer, as JSON."""


def pick_question(point: DecisionPoint, chance: random.Random) -> tuple[tuple[Message, ...], str]:
    """One question about a decision point's state, as a prompt, and its answer.

    The prompt describes the state exactly as it does when it asks for a decision. All kinds of
    questions are equally likely, however many phases a junction has.

    Raises:
        DatasetError: ``unreadable_prompt``.
    """
    kinds = questions(read_prompt(point.prompt))
    asked, answer = chance.choice(chance.choice(kinds))
    return (Message(role="system", content=asked), point.prompt[-1]), answer


def questions(junction: Junction) -> list[list[Question]]:
    """The questions about a state, by kind; those without a unique answer are left out.

    >>> counts = {0: LaneCounts(queued=4, approaching=0, passed=9),
    ...     2: LaneCounts(queued=1, approaching=6, passed=0)}
    >>> junction = Junction(
    ...     phases=counts, current_phase=2, elapsed_green=10, min_green=5, max_green=60)
    >>> [kind[0][1] for kind in questions(junction)][:3]
    ['{"phase": 0}', '{"phase": 2}', '{"phase": 2}']
    """
    kinds = [
        list(_most(junction, "queued vehicles", lambda count: count.queued)),
        list(_most(junction, "vehicles, queued and approaching", _vehicles)),
        [_asked("Which phase is shown now?", "phase", junction.current_phase)],
        [_asked("How many seconds has it been shown?", "seconds", junction.elapsed_green)],
        list(_counts(junction, "queued vehicles", lambda count: count.queued)),
        list(_counts(junction, "approaching vehicles", lambda count: count.approaching)),
        list(_counts(junction, "vehicles, queued and approaching,", _vehicles)),
        [_listed(junction, "queued vehicles", lambda count: count.queued)],
        [_listed(junction, "approaching vehicles", lambda count: count.approaching)],
        [_listed(junction, "vehicles, queued and approaching,", _vehicles)],
    ]
    return [kind for kind in kinds if kind]


def _most(junction: Junction, what: str, weigh: Callable[[LaneCounts], int]) -> Iterator[Question]:
    """Which phase has the most of something, if the answer is unique."""
    weights = {phase: weigh(count) for phase, count in junction.phases.items()}
    leaders = [phase for phase, weight in weights.items() if weight == max(weights.values())]
    if len(leaders) == 1:
        yield _asked(f"Which green phase has the most {what}?", "phase", leaders[0])


def _counts(
    junction: Junction, what: str, weigh: Callable[[LaneCounts], int]
) -> Iterator[Question]:
    """How many of something each phase has, one question per phase."""
    for phase, count in sorted(junction.phases.items()):
        yield _asked(f"How many {what} does phase {phase} have?", "vehicles", weigh(count))


def _listed(junction: Junction, what: str, weigh: Callable[[LaneCounts], int]) -> Question:
    """How many of something all phases have: one question that teaches as much as several."""
    counts = {str(phase): weigh(count) for phase, count in sorted(junction.phases.items())}
    question = f"How many {what} does each green phase have?"
    form = 'Answer with JSON only: {"<phase>": <number>, ...}.'
    return f"{_SITUATION}{question} {form}", json.dumps(counts)


def _asked(question: str, name: str, answer: float) -> Question:
    value = int(answer) if answer == int(answer) else answer
    form = f'Answer with JSON only: {{"{name}": <number>}}.'
    return f"{_SITUATION}{question} {form}", json.dumps({name: value})


def _vehicles(count: LaneCounts) -> int:
    return count.queued + count.approaching
