"""Checks the rows of a training dataset, and removes columns that a trainer would misread.

All rows are checked before anything is loaded: otherwise, an error in the thousandth row would end
a run at its hundredth step. Knows no files; :mod:`trainer.data.prompts` reads them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, get_args

import structlog
from pydantic import ValidationError

from shared.decisions import DecisionKind
from shared.errors import DatasetError
from shared.language.surrogates import is_utf8

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "SOLVE",
    "AskedKind",
    "as_messages",
    "as_table",
    "check_difficulty",
    "check_row",
    "is_finite",
    "row_error",
    "without_reserved",
]

SOLVE = "solve"
"""The kind of rows of other domains than traffic: their problem stands in the place of the state,
and their domain in that of the signal."""
AskedKind = DecisionKind | Literal["solve"]
"""What a row asks for."""
_KINDS: tuple[str, ...] = (*get_args(DecisionKind), SOLVE)
_ROLES = ("system", "user", "assistant")
_MAX_ID_CHARS = 200
_TEXTS = ("scenario", "problem_file")
_RESERVED = (
    *("prompts", "completion", "completions", "completion_ids", "image", "images", "tools"),
    *("chat_template_kwargs", "environment", "environments", "trainer_state", "log_extra"),
    *("log_metric", "curriculum_domain", "curriculum_level"),
)
"""Columns that have a special meaning in TRL or in our runs."""

log = structlog.get_logger(__name__)


def row_error(error: ValidationError, where: str, separator: str = ": ") -> DatasetError:
    """The error for an invalid row, from the first problem that pydantic found.

    Args:
        error: The validation error.
        where: The row.
        separator: Text between the row and the place in it.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return DatasetError(f"{where}{separator if place else ''}{place}: {first['msg']}")


def check_row(row: Mapping[str, Any], where: str) -> None:
    """Checks the columns that training reads; others may contain anything.

    Args:
        row: A row with our column names and all required columns.
        where: The row, for error messages.

    Raises:
        DatasetError: A value has the wrong type or is not permitted.
    """
    for name in ("state_id", "tls_id"):
        _check_id(row[name], f"{where}: {name}")
    if row["decision_kind"] not in _KINDS:
        raise DatasetError(
            f"{where}: decision_kind is {_shown(row['decision_kind'])}; use one of "
            f"{', '.join(_KINDS)}"
        )
    for name in _TEXTS:
        if not isinstance(value := row.get(name), str | None):
            raise DatasetError(f"{where}: {name} must be text, not {_shown(value)}")
    outcomes = row.get("outcomes")
    is_list = isinstance(outcomes, list) and all(isinstance(one, Mapping) for one in outcomes)
    if outcomes is not None and not is_list:
        raise DatasetError(f"{where}: outcomes must be a list of objects, not {_shown(outcomes)}")


def check_difficulty(row: Mapping[str, Any], where: str) -> None:
    """Checks that a difficulty is a number; only a curriculum needs one.

    Raises:
        DatasetError: The column contains something else.
    """
    difficulty = row.get("difficulty")
    if difficulty is not None and not is_finite(difficulty):
        raise DatasetError(
            f"{where}: difficulty must be a number, not {_shown(difficulty)}; without the column "
            "it is computed from the prompt"
        )


def is_finite(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number within the range of a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _check_id(value: object, where: str) -> None:
    if not isinstance(value, str):
        raise DatasetError(f"{where} must be text, not {_shown(value)}; write it in quotes")
    if not value.strip() or len(value) > _MAX_ID_CHARS or not is_utf8(value):
        raise DatasetError(f"{where} is not a valid id: {_shown(value)}")


def as_messages(prompt: object, where: str) -> list[dict[str, str]]:
    """A prompt as messages; a plain string is one user message.

    Args:
        prompt: The value in a row.
        where: The row, for error messages.

    Raises:
        DatasetError: It is neither, or it is empty.
    """
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not isinstance(messages, list) or not messages:
        raise DatasetError(
            f"{where}: prompt must be a string or a list of {{role, content}} messages, not "
            f"{_shown(prompt)}"
        )
    found = [_message(one, f"{where}: prompt, message {n}") for n, one in enumerate(messages, 1)]
    if not found[-1]["content"].strip():
        raise DatasetError(f"{where}: the last message of the prompt is empty")
    return found


def _message(message: object, where: str) -> dict[str, str]:
    if not isinstance(message, Mapping):
        raise DatasetError(f"{where} must be {{role, content}}, not {_shown(message)}")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        hint = "; write system" if role == "developer" else ""
        raise DatasetError(f"{where}: role is {_shown(role)}; use one of {', '.join(_ROLES)}{hint}")
    if not isinstance(content, str):
        raise DatasetError(
            f"{where}: content must be text, not {_shown(content)}; join several parts into one "
            "text"
        )
    if not is_utf8(content):
        raise DatasetError(
            f"{where}: content contains half a surrogate pair, which is not valid text"
        )
    return {"role": role, "content": content}


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def as_table(rows: Sequence[Mapping[str, Any]]) -> "Dataset":
    """Rows as a table with the columns of all rows.

    A column with values of several types is kept as JSON strings.

    Raises:
        DatasetError: Training reads such a column.
    """
    from datasets import Dataset

    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name, values in columns.items():
        if (reason := _untypable(values)) is None:
            continue
        if name in ("prompt", "outcomes"):
            raise DatasetError(f"the column {name} contains values of several types: {reason}")
        log.warning("a column is kept as JSON because its values have several types", column=name)
        columns[name] = [None if value is None else _json(value) for value in values]
    return Dataset.from_dict(columns)


def _untypable(values: Sequence[object]) -> str | None:
    """Why values do not form a column; None if they do."""
    import pyarrow as pa

    try:
        pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as exc:
        lines = str(exc).splitlines()
        return lines[0] if lines else type(exc).__name__
    return None


def _json(value: object) -> str:
    return json.dumps(value, default=str)


def without_reserved(dataset: "Dataset") -> "Dataset":
    """The rows without columns that TRL would misinterpret; logs which ones."""
    found = [name for name in dataset.column_names if name in _RESERVED]
    if not found:
        return dataset
    log.warning("columns are left out because the trainer uses their names itself", columns=found)
    return dataset.remove_columns(found)
