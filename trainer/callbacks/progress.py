"""How far a training is: a bar at a terminal, lines elsewhere. What is said of a step differs."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.runs.run_stats import RunStats

__all__ = ["LossProgressCallback", "ProgressCallback", "RewardProgressCallback"]


class ProgressCallback(TrainerCallback):
    """A bar with the pace and the time left.

    Args:
        console: Where to write.
        name: Of the part of the training; stands before each line.
    """

    def __init__(self, console: Console, name: str = "") -> None:
        self._console = console
        self._name = name
        self._bar: Progress | None = None
        self._began = 0.0
        self._first_step = 0

    def said(self) -> list[str]:
        """What is said beside the step and the time."""
        return []

    def show_line(self, state: State) -> None:
        """Shows a line, but at a terminal, where the bar says it."""
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
    """Says the loss, and shows a line for each that is logged."""

    _loss: float | None = None

    def said(self) -> list[str]:
        """The latest loss."""
        return [] if self._loss is None else [f"loss {self._loss:.3f}"]

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Takes up the loss."""
        if logs and "loss" in logs:
            self._loss = logs["loss"]
            self.show_line(state)


class RewardProgressCallback(ProgressCallback):
    """Says what became of the latest batch, and shows a line for each step.

    Args:
        stats: Where that is counted.
        console: Where to write.
    """

    def __init__(self, stats: RunStats, console: Console) -> None:
        super().__init__(console)
        self._stats = stats

    def said(self) -> list[str]:
        """Reward, invalid and failed shares, and the share of the step that went by waiting."""
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
