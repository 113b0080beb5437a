"""The metrics of a run as a file, a line a logging step, and read back."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["MetricsFile", "read_metrics"]


class MetricsFile:
    """Appends as the run goes, so that a run that is killed leaves what it knew.

    Args:
        path: A JSONL file; made when the first line is written.
        before: Steps of the stages before this one: steps are counted through.
        stage: Of a run of several; stands in every line.
    """

    def __init__(self, path: Path, before: int = 0, stage: int | None = None) -> None:
        self._path = path
        self._before = before
        self._stage = {} if stage is None else {"stage": stage}

    def begin(self, step: int) -> None:
        """Forgets lines after the stage's ``step``: those that a resumed run will write again."""
        last = self._before + step
        kept = [line for line in read_metrics(self._path) if line["step"] <= last] if last else []
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(map(_line, kept)), encoding="utf-8")

    def append(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes one line: the step, and every metric that is a finite number."""
        numbers = {
            name: value
            for name, value in metrics.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": self._before + step, **self._stage, **numbers}))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last line that was cut off is left out."""
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
