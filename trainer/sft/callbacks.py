"""What happens beside a supervised run: metrics to a file, and a line of progress."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.history import MetricsFile

__all__ = ["LossMetricsCallback", "LossProgressCallback"]


class LossMetricsCallback(TrainerCallback):
    """Writes every logged line that has a loss to the metrics file; the first rank does."""

    def __init__(self, file: MetricsFile) -> None:
        self._file = file

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Keeps what a resumed run logged before."""
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
        """Appends a line, except the summary at the end of a run."""
        if logs and "loss" in logs and state.is_world_process_zero:
            self._file.append(state.global_step, logs)


class LossProgressCallback(TrainerCallback):
    """Shows how far a run is: a bar at a terminal, a line for each logged step elsewhere.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._began = 0.0
        self._first_step = 0
        self._loss = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Starts the clock and the bar."""
        self._began = time.monotonic()
        self._first_step = state.global_step
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), console=self._console
            )
            self._bar.add_task("training …", total=state.max_steps, completed=state.global_step)
            self._bar.start()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Moves the bar."""
        if self._bar is not None:
            line = self._line(state.global_step, state.max_steps)
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=state.global_step, description=line)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Takes up the loss; elsewhere than at a terminal, shows it."""
        if not logs or "loss" not in logs:
            return
        self._loss = f"loss {logs['loss']:.3f}"
        if self._bar is None:
            line = self._line(state.global_step, state.max_steps)
            self._console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Leaves the last line on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, step: int, steps: int) -> str:
        pace_s = (time.monotonic() - self._began) / max(1, step - self._first_step)
        left_s = round(pace_s * (steps - step))
        parts = [f"step {step:>{len(str(steps))}}/{steps}", self._loss]
        return "  ".join(
            [*filter(None, parts), f"{pace_s:.2f} s/step", f"{left_s // 60}:{left_s % 60:02} left"]
        )
