"""What the form of an answer is worth, whatever it decides."""

import json

from shared.completions import parse_completion
from shared.decisions import DecisionKind
from shared.errors import InvalidDecision

__all__ = ["STRICT", "UNREADABLE", "WRAPPED", "format_reward"]

STRICT, WRAPPED, UNREADABLE = 1.0, 0.0, -1.0


def format_reward(text: str, kind: DecisionKind = "extend") -> float:
    """What the form of an answer is worth.

    | value | the completion |
    |---|---|
    | 1.0 | is the JSON that was asked for and nothing else (white space around it aside) |
    | 0.0 | holds it, wrapped in other text |
    | -1.0 | holds no decision of this kind |

    >>> format_reward('{"extend": "yes"}'), format_reward('Sure: {"extend": "yes"}')
    (1.0, 0.0)
    >>> format_reward('{"extend": true}')
    -1.0
    """
    try:
        parse_completion(text, kind)
    except InvalidDecision:
        return UNREADABLE
    try:
        json.loads(text)
    except ValueError:
        return WRAPPED
    return STRICT
