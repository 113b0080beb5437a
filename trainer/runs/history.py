"""The metrics file of a run, one line per logging step: written and read back."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["MetricsFile", "read_metrics"]


class MetricsFile:
    """Appends lines during the run, so that they survive if it is killed.

    Args:
        path: A JSONL file; created with the first line.
        before: Steps of earlier stages; step numbers continue from there.
        stage: Number of the stage, written to each line; None if there is only one.
    """

    def __init__(self, path: Path, before: int = 0, stage: int | None = None) -> None:
        self._path = path
        self._before = before
        self._stage = {} if stage is None else {"stage": stage}

    def begin(self, step: int) -> None:
        """Removes lines after the stage's ``step``, which a resumed run will write again."""
        last = self._before + step
        kept = [line for line in read_metrics(self._path) if line["step"] <= last] if last else []
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(map(_line, kept)), encoding="utf-8")

    def append(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends a line with the step and all metrics that are finite numbers."""
        numbers = {
            name: value
            for name, value in metrics.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": self._before + step, **self._stage, **numbers}))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without a truncated last line."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").split("\n"):
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values) + "\n"
