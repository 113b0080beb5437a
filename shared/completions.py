"""Reading a decision out of a language model's text.

Tolerates what chat models wrap an answer in (white space, a code fence, a sentence, a
``<think>`` block) but never guesses: one JSON value, the right keys, the right values, or
:class:`~shared.errors.InvalidDecision` with a code that says which rule was broken.
"""

import json
import re
from typing import Any, NoReturn

from shared.decisions import Decision, DecisionKind, Extend
from shared.errors import InvalidDecision

__all__ = ["MAX_COMPLETION_CHARS", "parse_completion", "render_completion"]

MAX_COMPLETION_CHARS = 16_384
"""Longer texts are not searched: no decision needs a hundredth of it."""

_MAX_CANDIDATES = 64
_THINKING = re.compile(r"<think>.*?</think>", re.DOTALL)
_YES_NO = {"yes": True, "no": False}


def parse_completion(text: str, kind: DecisionKind) -> Decision:
    """Reads the decision of the given kind that ``text`` holds.

    Args:
        text: A model's completion.
        kind: What the prompt asked for.

    Raises:
        InvalidDecision: ``no_json``, ``several_answers``, ``duplicate_keys``, ``wrong_keys``,
            ``wrong_value``, ``not_an_integer``, ``out_of_range`` or ``too_long``.

    >>> parse_completion('{"extend": "yes"}', "extend").extend
    True
    """
    if len(text) > MAX_COMPLETION_CHARS:
        raise InvalidDecision(f"the text has {len(text)} characters", "too_long")
    value = _only_json(_THINKING.sub(" ", text))
    if kind == "extend":
        return _extend(value)
    raise AssertionError(f"no parser for decision kind {kind!r}")


def render_completion(decision: Decision) -> str:
    """The text a perfect model would answer; :func:`parse_completion` reads it back.

    >>> render_completion(Extend(extend=False))
    '{"extend": "no"}'
    """
    answer: dict[str, object] = {"extend": "yes" if decision.extend else "no"}
    if decision.extend and decision.extend_s != Extend.model_fields["extend_s"].default:
        answer["extend_sec"] = decision.extend_s
    return json.dumps(answer)


def _extend(value: object) -> Extend:
    if not isinstance(value, dict) or not {"extend"} <= value.keys() <= {"extend", "extend_sec"}:
        raise InvalidDecision(
            'expected an object with the key "extend" and perhaps "extend_sec"', "wrong_keys"
        )
    answer = value["extend"]
    if not isinstance(answer, str) or answer not in _YES_NO:
        raise InvalidDecision('"extend" must be "yes" or "no"', "wrong_value")
    if "extend_sec" not in value:
        return Extend(extend=_YES_NO[answer])
    seconds = value["extend_sec"]
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise InvalidDecision('"extend_sec" must be a whole number', "not_an_integer")
    if not 1 <= seconds <= 3600:
        raise InvalidDecision('"extend_sec" must be from 1 to 3600', "out_of_range")
    return Extend(extend=_YES_NO[answer], extend_s=seconds)


def _only_json(text: str) -> object:
    """The single JSON object or array in ``text``."""
    found: list[object] = []
    position = 0
    for _ in range(_MAX_CANDIDATES):
        start = _next_bracket(text, position)
        if start < 0:
            break
        try:
            value, position = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
        else:
            found.append(value)
    if not found:
        raise InvalidDecision("no JSON object found in the text", "no_json")
    if len(found) > 1:
        raise InvalidDecision("more than one JSON value found in the text", "several_answers")
    return found[0]


def _next_bracket(text: str, position: int) -> int:
    starts = [i for i in (text.find("{", position), text.find("[", position)) if i >= 0]
    return min(starts, default=-1)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise InvalidDecision("a key appears twice", "duplicate_keys")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
