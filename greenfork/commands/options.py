"""What commands that speak to a reward service have in common."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

__all__ = ["ApiKey", "TermChoice", "Url", "checked", "secret"]

_Model = TypeVar("_Model", bound="BaseModel")

Url = Annotated[str, typer.Option(help="Reward service URL, e.g. http://127.0.0.1:8000.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="GREENFORK_API_KEY", help="API key for the service, if it requires one."),
]
TermChoice = Literal["queue_gain", "queue", "wait", "pressure", "speed"]
"""The rewards that plans, or single decisions, are compared by."""


def secret(api_key: str | None) -> "SecretStr | None":
    """A key as clients take it; an empty one is none."""
    from pydantic import SecretStr

    return SecretStr(api_key) if api_key else None


def checked(kind: type[_Model], fields: Mapping[str, object]) -> _Model:
    """A part of a request out of options.

    Raises:
        RequestError: An option has a value that the service would refuse.
    """
    from pydantic import ValidationError

    from shared.validation import request_error

    try:
        return kind.model_validate(fields)
    except ValidationError as exc:
        raise request_error(exc.errors()) from exc
