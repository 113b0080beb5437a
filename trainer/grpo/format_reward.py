"""What the form of an answer is worth, whatever it decides."""

from shared.decisions import DecisionKind
from shared.errors import InvalidDecision
from shared.language.completions import read_completion

__all__ = ["STRICT", "UNREADABLE", "WRAPPED", "format_reward"]

STRICT, WRAPPED, UNREADABLE = 1.0, 0.0, -1.0


def format_reward(text: str, kind: DecisionKind = "extend", opened: str = "") -> float:
    """What the form of an answer is worth, by the reader that the reward service uses.

    | value | the completion |
    |---|---|
    | 1.0 | is the JSON that was asked for and nothing else (white space around it aside) |
    | 0.0 | holds it, wrapped in other text |
    | -1.0 | holds no decision of this kind |

    An empty block of reasoning is no other text: chat templates of models that may reason teach it.
    Nor is reasoning in a block that the chat template itself has opened.

    Args:
        text: The completion.
        kind: What was asked for.
        opened: The tag of a block that the prompt ends within,
            :func:`shared.language.reasoning.opened_by`.

    >>> format_reward('{"extend": "yes"}'), format_reward('Sure: {"extend": "yes"}')
    (1.0, 0.0)
    >>> format_reward('{"extend": true}')
    -1.0
    >>> format_reward('East.</think>{"extend": "yes"}', opened="<think>")
    1.0
    """
    try:
        read = read_completion(opened + text, kind)
    except InvalidDecision:
        return UNREADABLE
    is_strict = read.is_bare and (bool(opened) or not read.is_reasoned)
    return STRICT if is_strict else WRAPPED
