"""The items that a pointer chooses from, read from a text file or a table."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import DatasetError
from trainer.data.prompts import read_records

__all__ = ["Pool", "read_pool"]

_TABLES = (".json", ".jsonl", ".parquet")
_TEXT = "text"


@dataclass(frozen=True)
class Pool:
    """Items by their positions, from 0."""

    rows: tuple[dict[str, Any], ...]
    """The columns of each row; a line of a text file is ``{"text": …}``."""

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, place: int) -> Any:  # noqa: ANN401 - what the file holds
        """The text of an item, or its row if it has no ``text``."""
        row = self.rows[place]
        return row.get(_TEXT, row)


def read_pool(path: str | Path) -> Pool:
    """Reads a pool.

    Args:
        path: ``.txt`` with one item per line; ``.csv`` or ``.tsv`` with a header; or JSON, JSONL or
            Parquet, of texts or of objects.

    Raises:
        DatasetError: The file cannot be read, is empty, or does not number its items from 0.
    """
    file = Path(path)
    if not str(path) or not file.is_file():
        raise DatasetError(f"no pool at {str(path)!r}: give a file with its items (--pool)")
    rows = tuple(_row(one, f"{file}, row {n}") for n, one in enumerate(_records(file)))
    if not rows:
        raise DatasetError(f"{file} has no items")
    for place, row in enumerate(rows):
        number = row.get("id")
        if isinstance(number, int) and number != place:
            raise DatasetError(
                f"{file}, row {place}: its id is {number}, but ids are positions from 0; sort the "
                "pool by id and number it without gaps, or give the column another name"
            )
    return Pool(rows)


def _records(file: Path) -> list[Any]:
    if file.suffix in _TABLES:
        return read_records(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise DatasetError(f"cannot read the pool {file}: {exc}") from exc
    if file.suffix in (".csv", ".tsv"):
        separator = "," if file.suffix == ".csv" else "\t"
        return list(csv.DictReader(text.splitlines(), delimiter=separator))
    return [line for line in text.split("\n") if line.strip()]


def _row(record: object, where: str) -> dict[str, Any]:
    if isinstance(record, str):
        return {_TEXT: record}
    if isinstance(record, dict):
        return {str(name): value for name, value in record.items()}
    raise DatasetError(f"{where}: an item is a text or an object, not {type(record).__name__}")
