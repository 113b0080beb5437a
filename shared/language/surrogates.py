"""Text that UTF-8 cannot carry: half of a surrogate pair.

Models that write token by token leave such halves in their completions, and a batch must not fail
for one of them. On the wire a noncharacter stands in their place, which no text holds (Unicode
Standard, section 23.7), and which whoever reads completions refuses as it refuses a half itself.
"""

import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationError

from shared.model import WireModel

__all__ = [
    "HALF_PAIR",
    "CompletionText",
    "CompletionsModel",
    "is_utf8",
    "mark_half_pairs",
    "mark_half_pairs_in_json",
]

HALF_PAIR = "\ufdd0"
"""Stands for half of a pair."""

_HALF = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")
_ESCAPED_HALF = re.compile(
    rb"\\u(?:[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB]..\\u)[dD][c-fC-F][0-9a-fA-F]{2})"
)
_BACKSLASH, _NO_JSON = rb"\\", b"\0\0"


def mark_half_pairs(text: str) -> str:
    r"""A text that can be sent: halves are marked, and halves that make a pair are joined.

    >>> mark_half_pairs("a\ud83d") == "a" + HALF_PAIR
    True
    >>> mark_half_pairs("\ud83d\udea6") == "\U0001f6a6"
    True
    """
    if text.isascii() or is_utf8(text):
        return text
    marked = _HALF.sub(HALF_PAIR, text)
    return marked.encode("utf-16", "surrogatepass").decode("utf-16")


def mark_half_pairs_in_json(document: bytes) -> bytes:
    r"""The same for the escapes in a JSON document, which JSON parsers refuse as a whole.

    >>> mark_half_pairs_in_json(rb'"\ud83d \ud83d\udea6 \\ud83d"').decode()
    '"\\ufdd0 \\ud83d\\udea6 \\\\ud83d"'
    """
    if rb"\ud" not in document and rb"\uD" not in document:
        return document
    shown = document.replace(_BACKSLASH, _NO_JSON)  # what is left of backslashes begins an escape
    return _ESCAPED_HALF.sub(rb"\\ufdd0", shown).replace(_NO_JSON, _BACKSLASH)


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


CompletionText = Annotated[
    str,
    BeforeValidator(lambda value: mark_half_pairs(value) if isinstance(value, str) else value),
]
"""A model's completion; half of a pair in it is marked, so that it alone is invalid."""


class CompletionsModel(WireModel):
    """A message with completions, out of JSON that may hold halves of pairs."""

    @classmethod
    def model_validate_json(
        cls,
        json_data: str | bytes | bytearray,
        **given: Any,  # noqa: ANN401 - passed on
    ) -> Self:
        """As pydantic has it, but halves are marked first where it refuses them."""
        try:
            return super().model_validate_json(json_data, **given)
        except ValidationError:
            text = json_data.encode() if isinstance(json_data, str) else bytes(json_data)
            marked = mark_half_pairs_in_json(text)
            if marked == text:
                raise
        return super().model_validate_json(marked, **given)
