"""The metrics file of a run of two stages, as one of them writes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.runs.history import MetricsFile

__all__ = ["StageFile"]


class StageFile(MetricsFile):
    """The metrics file of a run, as one of its stages writes it.

    Args:
        path: The file.
        stage: 1 or 2; stands in every line.
        before: Steps of the stages before it: steps are counted through.
    """

    def __init__(self, path: Path, stage: int, before: int) -> None:
        super().__init__(path)
        self._stage = stage
        self._before = before

    def begin(self, step: int) -> None:
        """Forgets lines after the stage's ``step``."""
        super().begin(self._before + step)

    def append(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Writes one line of the stage's ``step``."""
        super().append(self._before + step, {"stage": self._stage, **metrics})
