"""The reward for the format of an answer, regardless of the decision."""

from shared.errors import InvalidDecision
from shared.language.completions import read_completion
from shared.language.plans import format_share
from trainer.data.rows import AskedKind

__all__ = ["STRICT", "UNREADABLE", "WRAPPED", "format_reward"]

STRICT, WRAPPED, UNREADABLE = 1.0, 0.0, -1.0


def format_reward(text: str, kind: AskedKind = "extend", opened: str = "") -> float:
    """The reward for the format of an answer, as parsed by the reward service.

    | value | the completion |
    |---|---|
    | 1.0 | is exactly the requested JSON (surrounding white space is ignored) |
    | 0.0 | contains it within other text |
    | -1.0 | contains no decision of this kind |

    Of a plan the requested form is one step per line, ``(action argument)``.

    An empty reasoning block does not count as other text, because chat templates of reasoning
    models teach it; nor does reasoning in a block that the chat template has opened.

    Args:
        text: The completion.
        kind: The requested kind of decision.
        opened: The tag of a reasoning block in which the prompt ends,
            :func:`shared.language.reasoning.opened_by`.

    >>> format_reward('{"extend": "yes"}'), format_reward('Sure: {"extend": "yes"}')
    (1.0, 0.0)
    >>> format_reward('{"extend": true}')
    -1.0
    >>> format_reward('East.</think>{"extend": "yes"}', opened="<think>")
    1.0
    """
    if kind == "solve":
        return format_share(opened + text)
    try:
        read = read_completion(opened + text, kind)
    except InvalidDecision:
        return UNREADABLE
    is_strict = read.is_bare and (bool(opened) or not read.is_reasoned)
    return STRICT if is_strict else WRAPPED
