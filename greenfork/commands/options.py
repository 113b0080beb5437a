"""What options of several commands have in common, and how they become what is asked for."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

__all__ = ["ApiKey", "TermChoice", "Url", "checked", "fields_of", "secret"]

_Model = TypeVar("_Model", bound="BaseModel")
_Value = TypeVar("_Value")

Url = Annotated[str, typer.Option(help="Reward service URL, e.g. http://127.0.0.1:8000.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="GREENFORK_API_KEY", help="API key for the service, if it requires one."),
]
TermChoice = Literal["queue_gain", "queue", "wait", "pressure", "speed", "delay"]
"""The rewards that plans, or single decisions, are compared by."""


def secret(api_key: str | None) -> "SecretStr | None":
    """A key as clients take it; an empty one is none."""
    from pydantic import SecretStr

    return SecretStr(api_key) if api_key else None


def fields_of(kind: type[_Value], options: Mapping[str, Any], **more: object) -> _Value:
    """A dataclass whose fields are set by the options of the same names; lists become tuples.

    Args:
        kind: The dataclass.
        options: All options of a command; one that is None, or an empty list, was not given.
        **more: Fields that no option sets as it is.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # any dataclass
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if name in names and value not in (None, (), [])
    }
    return kind(**{**given, **more})


def checked(kind: type[_Model], options: Mapping[str, Any], **more: object) -> _Model:
    """A part of a request whose fields are set by the options of the same names.

    Args:
        kind: The part.
        options: All options of a command.
        **more: Fields that no option sets as it is.

    Raises:
        RequestError: An option has a value that the service would refuse.
    """
    from shared.validation import invalid_as_request_errors

    given = {name: options[name] for name in kind.model_fields.keys() & options.keys()}
    with invalid_as_request_errors():
        return kind.model_validate(given | more)
