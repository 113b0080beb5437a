"""The journal of a run: what an interrupted build has already done, one line per state.

A line is written when its state is complete and its file is safely on disk, so that nothing in the
journal has to be redone. All datasets are written from journals, whether resumed or not.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from shared.dataset import Action, DatasetLayout, Row
from shared.model import WireModel
from shared.wire.states import StateRecord

__all__ = ["Journal", "JournalEntry"]


class JournalEntry(WireModel):
    """One state of a run, complete."""

    slot: int
    """Index of the time slot that it was found in."""
    record: StateRecord
    rows: tuple[Row, ...]
    actions: tuple[Action, ...]
    """The behaviour policy's actions since the previous state, in order."""


class Journal:
    """The lines of one run.

    Args:
        path: The file; it need not exist.
        layout: Where the state files are.
    """

    def __init__(self, path: Path, layout: DatasetLayout) -> None:
        self._path = path
        self._layout = layout

    def recover(self) -> list[JournalEntry]:
        """All complete entries; anything after them, such as half a line, is cut off."""
        entries, size = [], 0
        for entry, line in self._lines():
            if not self._has_file(entry):
                break
            entries.append(entry)
            size += len(line)
        if self._path.exists() and self._path.stat().st_size != size:
            os.truncate(self._path, size)
        return entries

    def read(self) -> list[JournalEntry]:
        """All entries of a journal that this process has recovered or written."""
        return [entry for entry, _ in self._lines()]

    def append(self, entry: JournalEntry) -> None:
        """Adds a state, which survives a power cut once this returns."""
        with self._path.open("ab") as file:
            file.write(entry.model_dump_json(exclude_none=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[tuple[JournalEntry, bytes]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    entry = JournalEntry.model_validate_json(line)
                except ValidationError:
                    return
                if not line.endswith(b"\n"):
                    return
                yield entry, line

    def _has_file(self, entry: JournalEntry) -> bool:
        state_id = entry.record.state_id
        try:
            content = self._layout.state_file(state_id).read_bytes()
        except OSError:
            return False
        return state_id.endswith(f"-{hashlib.sha256(content).hexdigest()[:12]}")
