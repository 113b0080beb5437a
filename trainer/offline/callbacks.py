"""What happens beside a stage: its metrics to the file of the run, and a line of progress."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.history import MetricsFile
from trainer.sft.callbacks import LossProgressCallback

__all__ = ["StageFile", "StageMetricsCallback", "StageProgressCallback"]


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


class StageMetricsCallback(TrainerCallback):
    """Writes every logged line of training or validation; of several ranks, the first one does."""

    def __init__(self, file: MetricsFile) -> None:
        self._file = file

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Keeps what was logged before: by an earlier stage, by the run that is resumed."""
        if state.is_world_process_zero:
            self._file.begin(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Appends a line, except the summary at the end of a stage."""
        if logs and {"loss", "eval_loss"} & logs.keys() and state.is_world_process_zero:
            self._file.append(state.global_step, logs)


class StageProgressCallback(LossProgressCallback):
    """Shows each stage with its name.

    Args:
        console: Where to write.
        name: Of the stage.
    """

    def __init__(self, console: Console, name: str) -> None:
        super().__init__(console)
        self._name = name

    def _line(self, step: int, steps: int) -> str:
        return f"{self._name}  {super()._line(step, steps)}"
