"""What pydantic found wrong with a request, as one of our own errors.

Shared, because the gateway refuses a request and the command line a line of a file for the same
reasons, under the same codes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pydantic import ValidationError

from shared.errors import InvalidRequest, MalformedRequest, RequestError

__all__ = [
    "invalid_as_request_errors",
    "ip_of",
    "request_error",
    "validation_error",
    "without_nulls",
]

_CODES = {
    ("kind", "literal_error"): "unknown_decision_kind",
    ("decision_kind", "literal_error"): "unknown_decision_kind",
    ("name", "literal_error"): "unknown_reward",
    ("reward", "literal_error"): "unknown_reward",
    ("[key]", "literal_error"): "unknown_reward",
    ("metrics", "literal_error"): "unknown_metric",
}
_PARTS = ("body", "query", "[key]", "item:traffic", "item:domain")
_KIND_AFTER: dict[str | int, int] = {"decision": 1, "decisions": 2}
"""How many keys after these the kind of a decision stands in the place of an error."""
_UNKNOWN_TAG = "union_tag_invalid"
_MAX_NAMED = 3
_MAX_TOLD = 200
"""Of more errors pydantic makes no list: each takes a kilobyte and microseconds."""


def validation_error(error: ValidationError) -> RequestError:
    """The error that says what is wrong, and where, however much is wrong.

    >>> from shared.rewards import RewardSpec
    >>> try:
    ...     RewardSpec.model_validate(dict.fromkeys(map(str, range(1000))))
    ... except ValidationError as exc:
    ...     print(validation_error(exc))
    1000 errors; most likely it contains unknown keys
    """
    count = error.error_count()
    if count > _MAX_TOLD:
        return InvalidRequest(f"{count} errors; most likely it contains unknown keys")
    return request_error(error.errors())


@contextmanager
def invalid_as_request_errors() -> Iterator[None]:
    """Turns a ``ValidationError`` into the error of a request, with a sentence for its caller."""
    try:
        yield
    except ValidationError as exc:
        raise request_error(exc.errors()) from exc


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
    errors = _innermost(errors)
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return MalformedRequest(f"not JSON: {reason}")
    named = "; ".join(_sentence(error) for error in errors[:_MAX_NAMED])
    more = len(errors) - _MAX_NAMED
    return InvalidRequest(f"{named}; and {more} more" if more > 0 else named, _code(first))


def _innermost(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without those about a whole in which something else is named: they only follow from it."""
    wholes = {error["loc"][:size] for error in errors for size in range(len(error["loc"]))}
    return [error for error in errors if error["loc"] not in wholes]


def _code(error: Mapping[str, Any]) -> str | None:
    if error["type"] == _UNKNOWN_TAG:
        return "unknown_decision_kind"
    field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    return _CODES.get((field, error["type"]))


def _sentence(error: Mapping[str, Any]) -> str:
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in _path(error["loc"])
    ).lstrip(".")
    said = error["msg"].removeprefix("Value error, ")
    given = _shown(error.get("input"))
    if error["type"] == _UNKNOWN_TAG:
        place += ".kind"
        said = f"Input should be one of {error['ctx']['expected_tags']}"
        given = _shown(error["ctx"]["tag"])
    return f"{place or 'the body'}: {said}{f', not {given}' if given else ''}"


def _path(loc: Sequence[int | str]) -> list[int | str]:
    """The keys that lead to a field: without what only says where pydantic was."""
    path = [part for part in loc if part not in _PARTS]
    for position, part in enumerate(path):
        if part in _KIND_AFTER:
            kind = position + _KIND_AFTER[part]
            return path[:kind] + path[kind + 1 :]
    return path


def _shown(value: object) -> str:
    """A short scalar input as JSON; nothing for what would be long."""
    if not isinstance(value, str | int | float):
        return ""
    text = json.dumps(value)
    return text if len(text) <= 60 else ""


def without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value without the null fields that a table (Parquet) puts where kinds of rows differ.

    >>> without_nulls({"a": 1, "b": None, "c": [{"d": None}]})
    {'a': 1, 'c': [{}]}
    """
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address in a text; None where it is a name, or nothing of the kind.

    >>> ip_of("192.0.2.7"), ip_of("localhost")
    (IPv4Address('192.0.2.7'), None)
    """
    try:
        return ip_address(text)
    except ValueError:
        return None
