"""Small JSON files in the folders of models and checkpoints, which say what these are."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from shared.model import WireModel

__all__ = ["Record", "read_json"]


class Record(WireModel):
    """What such a file of our own says."""

    file_name: ClassVar[str]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """That in a folder; None where there is none, or none that can be read."""
        try:
            return cls.model_validate_json((folder / cls.file_name).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, folder: Path) -> None:
        """Puts it into a folder."""
        text = self.model_dump_json(indent=1)
        (folder / self.file_name).write_text(text, encoding="utf-8")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file of others; empty where there is none that can be read."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
