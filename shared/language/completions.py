"""Reading a decision out of a language model's text.

Tolerates what chat models wrap an answer in (white space, a code fence, a sentence, reasoning in a
``<think>`` block) but never guesses: one JSON value and no bracket beside it, the right keys, the
right values, or :class:`~shared.errors.InvalidDecision` with a code that says which rule was broken
and a message that says what was expected and what was seen. So a text that is wrong when it is well
formed is not right when it is broken.

Whether the decision may be carried out at a signal is :mod:`shared.legality`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, assert_never

from shared.decisions import (
    MAX_CYCLE_GREENS,
    MAX_GREEN_S,
    MAX_PLAN_STEPS,
    Cycle,
    CycleGreen,
    Decision,
    DecisionKind,
    Extend,
    NextPhase,
    Plan,
    PlanStep,
)
from shared.errors import InvalidDecision
from shared.language.reasoning import split_reasoning
from shared.language.surrogates import HALF_PAIR, mark_half_pairs

__all__ = [
    "DEFAULT_EXTEND_S",
    "MAX_COMPLETION_CHARS",
    "MAX_SENT_CHARS",
    "ReadCompletion",
    "parse_answers",
    "parse_completion",
    "parse_shown_phase",
    "read_completion",
    "render_completion",
]

DEFAULT_EXTEND_S = int(Extend.model_fields["extend_s"].default)
"""What a *yes* without seconds of its own adds, seconds."""

MAX_COMPLETION_CHARS = 16_384
"""Longer answers are not searched: the longest decision needs a quarter of it. Reasoning before the
answer does not count."""

MAX_SENT_CHARS = 16 * MAX_COMPLETION_CHARS
"""Longer completions are not sent, with all their reasoning."""

_MAX_SEEN_CHARS = 80
_WHITE = " \t\n\r"
_BRACKET = re.compile(r"[{}\[\]]")
_YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class ReadCompletion:
    """What a completion says."""

    decision: Decision
    is_bare: bool
    """Whether the answer is the JSON value and nothing else, white space aside."""
    is_reasoned: bool
    """Whether reasoning stands before the answer; an empty block is none."""


def parse_completion(text: str, kind: DecisionKind, extend_s: int = DEFAULT_EXTEND_S) -> Decision:
    r"""Reads the decision of the given kind that ``text`` holds.

    Args:
        text: A model's completion.
        kind: What the prompt asked for.
        extend_s: Seconds that a *yes* without seconds of its own adds, and between the steps of a
            plan; from 1 to ``MAX_GREEN_S``.

    Raises:
        InvalidDecision: ``unfinished_reasoning``, ``not_unicode``, ``too_long``, ``no_json``,
            ``several_answers``, ``stray_bracket``, ``duplicate_keys``, ``not_a_list``, ``empty``,
            ``too_many``, ``wrong_keys``, ``wrong_value``, ``not_an_integer`` or ``out_of_range``.

    >>> parse_completion('{"extend": "yes"}', "extend").extend
    True
    >>> parse_completion('{"extend": "yes"}', "extend", extend_s=10).extend_s
    10
    >>> parse_completion('```json\n{"next_phase_id": 4, "green_sec": 20}\n```', "phase")
    NextPhase(kind='phase', next_phase=4, green_s=20)
    """
    return read_completion(text, kind, extend_s).decision


def read_completion(
    text: str, kind: DecisionKind, extend_s: int = DEFAULT_EXTEND_S
) -> ReadCompletion:
    r"""The decision of :func:`parse_completion`, and what stands around it.

    Takes time in proportion to the length of ``text``, whatever it holds: each character is looked
    at by few passes, and the JSON decoder begins at two brackets at most.

    Raises:
        InvalidDecision: As :func:`parse_completion`.

    >>> read = read_completion('<think>East.</think>\n{"extend": "yes"}', "extend")
    >>> read.decision.extend, read.is_bare, read.is_reasoned
    (True, True, True)
    """
    value, is_bare, is_reasoned = _read(text)
    return ReadCompletion(_decision(value, kind, extend_s), is_bare, is_reasoned)


def parse_shown_phase(text: str) -> int:
    """Reads the green phase that is to be shown until a later step of an episode changes it.

    Raises:
        InvalidDecision: As :func:`parse_completion`.

    >>> parse_shown_phase('{"next_phase_id": 4}')
    4
    """
    value, _, _ = _read(text)
    fields = _fields(value, ["next_phase_id"])
    return _phase(fields["next_phase_id"], '"next_phase_id"')


def parse_answers(text: str) -> dict[str, object]:
    """Reads the JSON object with an answer for each of several signals.

    Raises:
        InvalidDecision: As :func:`parse_completion`; ``wrong_keys`` also of a list.

    >>> parse_answers('{"A0": {"next_phase_id": 4}}')
    {'A0': {'next_phase_id': 4}}
    """
    value, _, _ = _read(text)
    if not isinstance(value, dict):
        raise _unexpected("a JSON object with an answer by signal", _seen(value), "wrong_keys")
    return value


def _read(text: str) -> tuple[object, bool, bool]:
    """The one JSON value of a text, whether it stands alone, and whether reasoning precedes it."""
    parts = split_reasoning(text := mark_half_pairs(text))
    if parts.answer is None:
        raise _unexpected("an answer after the reasoning", "no end of it", "unfinished_reasoning")
    if HALF_PAIR in text:
        raise _unexpected("a text", "half of a surrogate pair", "not_unicode")
    if (size := len(parts.answer)) > MAX_COMPLETION_CHARS:
        raise _unexpected(f"at most {MAX_COMPLETION_CHARS} characters", f"{size}", "too_long")
    value, is_bare = _only_json(parts.answer)
    return value, is_bare, not parts.is_blank


def _decision(value: object, kind: DecisionKind, extend_s: int) -> Decision:
    match kind:
        case "extend":
            return _extend(value, extend_s)
        case "phase":
            return _next_phase(value)
        case "cycle":
            return _cycle(value)
        case "plan":
            return _plan(value, extend_s)
    assert_never(kind)


def render_completion(decision: Decision) -> str:
    """The text a perfect model would answer; :func:`parse_completion` reads it back.

    What has no effect is not said, nor is what the text has no words for: a plan's ``extend_s``.

    >>> render_completion(Extend(extend=False))
    '{"extend": "no"}'
    >>> render_completion(Plan(steps=(PlanStep(extend=True), PlanStep(extend=False))))
    '["yes", "no"]'
    """
    return json.dumps(_answer(decision))


def _answer(decision: Decision) -> dict[str, object] | list[object]:
    match decision:
        case Extend():
            answer: dict[str, object] = {"extend": _word(decision.extend)}
            if decision.extend and decision.extend_s != DEFAULT_EXTEND_S:
                answer["extend_sec"] = decision.extend_s
            return answer
        case NextPhase():
            return {"next_phase_id": decision.next_phase, "green_sec": decision.green_s}
        case Cycle():
            return [{"phase_id": green.phase, "final": green.green_s} for green in decision.greens]
        case Plan():
            return [_word(step.extend) for step in decision.steps]
    assert_never(decision)


def _word(is_yes: bool) -> str:
    return "yes" if is_yes else "no"


def _extend(value: object, extend_s: int) -> Extend:
    fields = _fields(value, ["extend"], optional="extend_sec")
    is_yes = _yes_no(fields["extend"], '"extend"')
    if "extend_sec" in fields:
        extend_s = _seconds(fields["extend_sec"], '"extend_sec"')
    return Extend(extend=is_yes, extend_s=extend_s)


def _next_phase(value: object) -> NextPhase:
    fields = _fields(value, ["next_phase_id", "green_sec"])
    return NextPhase(
        next_phase=_phase(fields["next_phase_id"], '"next_phase_id"'),
        green_s=_seconds(fields["green_sec"], '"green_sec"'),
    )


def _cycle(value: object) -> Cycle:
    items = _items(value, "of one object a green phase", MAX_CYCLE_GREENS)
    return Cycle(greens=tuple(_green(item, number) for number, item in enumerate(items, start=1)))


def _green(value: object, number: int) -> CycleGreen:
    item = f"item {number}"
    fields = _fields(value, ["phase_id", "final"], f"{item} to be ")
    return CycleGreen(
        phase=_phase(fields["phase_id"], f'"phase_id" of {item}'),
        green_s=_seconds(fields["final"], f'"final" of {item}'),
    )


def _plan(value: object, extend_s: int) -> Plan:
    items = _items(value, 'of "yes" and "no"', MAX_PLAN_STEPS)
    return Plan(
        steps=tuple(
            PlanStep(extend=_yes_no(item, f"item {number}"))
            for number, item in enumerate(items, start=1)
        ),
        extend_s=extend_s,
    )


def _fields(
    value: object, needed: Sequence[str], name: str = "", optional: str | None = None
) -> dict[str, object]:
    """An object that has the needed keys and no others but the optional one."""
    if isinstance(value, dict) and set(needed) <= value.keys() <= {*needed, optional}:
        return value
    keys = " and ".join(f'"{key}"' for key in needed)
    perhaps = f' and perhaps "{optional}"' if optional else ""
    keyed = f"{'key' if len(needed) == 1 else 'keys'} {keys}{perhaps}"
    raise _unexpected(f"{name}an object with the {keyed}", _seen(value), "wrong_keys")


def _items(value: object, what: str, most: int) -> list[object]:
    if not isinstance(value, list):
        raise _unexpected(f"a list {what}", _seen(value), "not_a_list")
    if not value:
        raise _unexpected(f"a list {what}", "an empty list", "empty")
    if len(value) > most:
        raise _unexpected(f"a list {what}, at most {most}", f"{len(value)}", "too_many")
    return value


def _yes_no(value: object, name: str) -> bool:
    if isinstance(value, str) and value in _YES_NO:
        return _YES_NO[value]
    raise _unexpected(f'{name} to be "yes" or "no"', _seen(value), "wrong_value")


def _phase(value: object, name: str) -> int:
    number = _integer(value, name)
    if number < 0:
        raise _unexpected(f"{name} to be at least 0", _seen(number), "out_of_range")
    return number


def _seconds(value: object, name: str) -> int:
    number = _integer(value, name)
    if not 1 <= number <= MAX_GREEN_S:
        raise _unexpected(f"{name} to be from 1 to {MAX_GREEN_S}", _seen(number), "out_of_range")
    return number


def _integer(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _unexpected(f"{name} to be a whole number", _seen(value), "not_an_integer")


def _unexpected(expected: str, seen: str, code: str) -> InvalidDecision:
    return InvalidDecision(f"expected {expected}, saw {seen}", code)


def _seen(value: object) -> str:
    """A value in a few words; never deep, never long."""
    match value:
        case dict():
            keys = ", ".join(_excerpt(key) for key in list(value)[:4])
            return _cut(f"an object with the keys {keys}" if keys else "an empty object")
        case list():
            return f"a list of {len(value)}"
    return _excerpt(value)


def _excerpt(value: object) -> str:
    """A scalar as JSON, cut, and such that it can be written as UTF-8 even if it is not."""
    text = value[: _MAX_SEEN_CHARS + 1] if isinstance(value, str) else value
    said = json.dumps(text, ensure_ascii=False)
    return _cut(said.encode("utf-8", "backslashreplace").decode())


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SEEN_CHARS else f"{text[:_MAX_SEEN_CHARS]}…"


def _only_json(text: str) -> tuple[object, bool]:
    """The JSON object or list in ``text``, beside which no bracket stands; and whether it is all.

    Where the first bracket begins nothing whole, nothing is looked for behind it or inside of it:
    what would be found there is a part of something that is broken.
    """
    first = _BRACKET.search(text)
    if first is None:
        raise _unexpected("a JSON object or list", _excerpt(text), "no_json")
    try:
        value, end = _DECODER.raw_decode(text, first.start())
    except (ValueError, RecursionError) as exc:
        raise _unexpected("a JSON object or list", _excerpt(text), "no_json") from exc
    if (second := _BRACKET.search(text, end)) is not None:
        raise _beside(value, text, second.start())
    return value, not (text[: first.start()].strip(_WHITE) or text[end:].strip(_WHITE))


def _beside(value: object, text: str, place: int) -> InvalidDecision:
    """What is wrong where another bracket follows a value."""
    try:
        other, _ = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        rest = _excerpt(text[place : place + _MAX_SEEN_CHARS])
        seen = f"{_seen(value)} and a bracket of no JSON value: {rest}"
        return _unexpected("one JSON value and no bracket beside it", seen, "stray_bracket")
    return _unexpected("one JSON value", f"{_seen(value)} and {_seen(other)}", "several_answers")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise _unexpected("each key once", f"{_excerpt(key)} twice", "duplicate_keys")
        fields[key] = value
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
