"""Progress of a training: a bar in a terminal, lines elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.runs.run_stats import RunStats

__all__ = ["LossProgressCallback", "ProgressCallback", "RewardProgressCallback"]


class ProgressCallback(TrainerCallback):
    """A progress bar with the pace and the time left.

    Args:
        console: The console to write to.
        name: The name of the stage; starts each line.
    """

    def __init__(self, console: Console, name: str = "") -> None:
        self._console = console
        self._name = name
        self._bar: Progress | None = None
        self._began = 0.0
        self._first_step = 0

    def said(self) -> list[str]:
        """What to show besides the step and the time."""
        return []

    def show_line(self, state: State) -> None:
        """Prints a line, except in a terminal, where the bar shows it."""
        if self._bar is None:
            self._console.print(self._line(state), highlight=False, soft_wrap=True)

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Starts the clock and the bar."""
        self._began = time.monotonic()
        self._first_step = state.global_step
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), console=self._console
            )
            self._bar.add_task("training …", total=state.max_steps, completed=state.global_step)
            self._bar.start()

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Moves the bar."""
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=state.global_step, description=self._line(state))

    def on_train_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Leaves the last line on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, state: State) -> str:
        step, steps = state.global_step, state.max_steps
        pace_s = (time.monotonic() - self._began) / max(1, step - self._first_step)
        left_s = round(pace_s * (steps - step))
        parts = [self._name, f"step {step:>{len(str(steps))}}/{steps}", *self.said()]
        return "  ".join(
            [*filter(None, parts), f"{pace_s:.2f} s/step", f"{left_s // 60}:{left_s % 60:02} left"]
        )


class LossProgressCallback(ProgressCallback):
    """Shows the loss, with a line each time it is logged."""

    _loss: float | None = None

    def said(self) -> list[str]:
        """The latest loss."""
        return [] if self._loss is None else [f"loss {self._loss:.3f}"]

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Updates the loss."""
        if logs and "loss" in logs:
            self._loss = logs["loss"]
            self.show_line(state)


class RewardProgressCallback(ProgressCallback):
    """Shows the results of the latest batch, with a line per step.

    Args:
        stats: The statistics of the run.
        console: The console to write to.
    """

    def __init__(self, stats: RunStats, console: Console) -> None:
        super().__init__(console)
        self._stats = stats

    def said(self) -> list[str]:
        """Reward, invalid and failed shares, and the share of the step spent waiting."""
        parts = []
        if (batch := self._stats.last) is not None:
            reward = "   none" if batch.reward is None else f"{batch.reward:+7.3f}"
            parts += [
                f"reward {reward}",
                f"invalid {batch.invalid.total() / batch.items:4.0%}",
                f"failed {batch.failed.total() / batch.items:4.0%}",
            ]
        if self._stats.last_step:
            parts.append(f"waited {self._stats.last_waited / self._stats.last_step:4.0%}")
        return parts

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Shows the step that just ended."""
        super().on_step_end(args, state, control)
        self.show_line(state)
