"""What pydantic found wrong with a request, as one of our own errors.

Shared, because the gateway refuses a request and the command line a line of a file for the same
reasons, under the same codes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import InvalidRequest, MalformedRequest, RequestError

__all__ = ["request_error"]

_CODES = {
    ("kind", "literal_error"): "unknown_decision_kind",
    ("decision_kind", "literal_error"): "unknown_decision_kind",
    ("name", "literal_error"): "unknown_reward",
}
_MAX_NAMED = 3


def request_error(errors: Sequence[Mapping[str, Any]]) -> RequestError:
    """The error that says what is wrong, and where.

    Args:
        errors: ``ValidationError.errors()`` of pydantic, or of FastAPI.

    >>> from shared.rewards import RewardSpec
    >>> from pydantic import ValidationError
    >>> try:
    ...     RewardSpec.model_validate({"name": "luck"})
    ... except ValidationError as exc:
    ...     print(request_error(exc.errors()).code)
    unknown_reward
    """
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return MalformedRequest(f"not JSON: {reason}")
    named = "; ".join(_sentence(error) for error in errors[:_MAX_NAMED])
    more = len(errors) - _MAX_NAMED
    return InvalidRequest(f"{named}; and {more} more" if more > 0 else named, _code(first))


def _code(error: Mapping[str, Any]) -> str | None:
    field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    return _CODES.get((field, error["type"]))


def _sentence(error: Mapping[str, Any]) -> str:
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in error["loc"]
        if part != "body"
    ).lstrip(".")
    said = error["msg"].removeprefix("Value error, ")
    given = _shown(error.get("input"))
    return f"{place or 'the body'}: {said}{f', not {given}' if given else ''}"


def _shown(value: object) -> str:
    """A short scalar input as JSON; nothing for what would be long."""
    if not isinstance(value, str | int | float):
        return ""
    text = json.dumps(value)
    return text if len(text) <= 60 else ""
