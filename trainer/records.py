"""Small JSON files that describe the models and checkpoints in whose folders they are."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from shared.model import WireModel

__all__ = ["Record", "read_json"]


class Record(WireModel):
    """The contents of one of our JSON files."""

    file_name: ClassVar[str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Reads it from a folder; None if it is missing or unreadable."""
        try:
            return cls.model_validate_json((folder / cls.file_name).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, folder: Path) -> None:
        """Writes it to a folder."""
        text = self.model_dump_json(indent=1)
        (folder / self.file_name).write_text(text, encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """The object in another library's file; empty if it is missing or unreadable."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
