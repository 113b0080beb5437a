"""The file of candidate plans: written row by row, resumable, put in place when complete."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from shared.candidates import PlanRow
from shared.dataset import Row
from shared.errors import ConfigError
from shared.files import os_errors, write_atomically

__all__ = ["PlanFile"]


class PlanFile:
    """A JSONL file of :class:`shared.candidates.PlanRow`.

    Until it is complete, rows are in ``.NAME.part`` beside it, below a line that describes the
    request; the same command continues from there.

    Args:
        path: The file.
        asked: The inputs of the rows: dataset, reward, beam, depth.
    """

    def __init__(self, path: Path, asked: Mapping[str, object]) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._head = json.dumps(asked, sort_keys=True)

    def begin(self) -> dict[tuple[str, str], PlanRow]:
        """The rows left by an interrupted command, by state and signal.

        Raises:
            ConfigError: The file cannot be written.
        """
        found = self._left()
        with os_errors(ConfigError, f"cannot write {self._path}"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lines = [self._head, *(_line(row) for row in found)]
            self._part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return {_place(row): row for row in found}

    def append(self, row: PlanRow) -> None:
        """Adds a row."""
        with self._part.open("a", encoding="utf-8") as file:
            file.write(f"{_line(row)}\n")

    def finish(self, order: Sequence[Row]) -> int:
        """Puts the rows in place, in the order of the dataset; returns their number.

        Args:
            order: The decision points that were searched.
        """
        found = {_place(row): row for row in self._left()}
        rows = [found[place] for row in order if (place := _place(row)) in found]
        write_atomically(self._path, (f"{_line(row)}\n".encode() for row in rows))
        self._part.unlink()
        return len(rows)

    def _left(self) -> list[PlanRow]:
        """The complete rows of an unfinished file, if it belongs to the same command."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = self._part.read_text(encoding="utf-8").splitlines()
        if not lines or lines[0] != self._head:
            return []
        rows = []
        for line in lines[1:]:
            try:
                rows.append(PlanRow.model_validate_json(line))
            except ValidationError:
                break  # an incomplete line
        return rows


def _line(row: PlanRow) -> str:
    return row.model_dump_json(exclude_none=True)


def _place(row: Row) -> tuple[str, str]:
    return row.state_id, row.tls_id
