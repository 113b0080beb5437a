"""What watches a run: metrics to a file, a line of progress, times, and hints at trouble."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer.health import HealthWatch
from trainer.history import MetricsFile
from trainer.tally import Tally

__all__ = ["HealthCallback", "MetricsCallback", "ProgressCallback", "TimingCallback"]

log = structlog.get_logger(__name__)


class TimingCallback(TrainerCallback):
    """Takes the time of every step, and logs it with the share that went by waiting for rewards.

    To be called before all who read what is logged.

    Args:
        tally: Where the times are counted.
        clock: Monotonic seconds.
    """

    def __init__(self, tally: Tally, clock: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._clock = clock
        self._began = 0.0
        self._waited_s, self._steps_s, self._steps = 0.0, 0.0, 0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Starts the clock."""
        self._began = self._clock()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Stops it."""
        self._steps += 1
        self._tally.stepped(self._clock() - self._began)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Reports the mean time and the share since the line before."""
        tally = self._tally
        steps_s = tally.step_seconds - self._steps_s
        if not logs or "reward" not in logs or not steps_s:
            return
        logs["reward_service/waited_share"] = (tally.waited_seconds - self._waited_s) / steps_s
        logs["step_seconds"] = steps_s / self._steps
        self._waited_s, self._steps_s, self._steps = tally.waited_seconds, tally.step_seconds, 0


class HealthCallback(TrainerCallback):
    """Says in one line what begins to go wrong; of several ranks, the first one does."""

    def __init__(self, watch: HealthWatch) -> None:
        self._watch = watch

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Tells where the run begins."""
        self._watch.begin(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Looks at a line of metrics."""
        if not logs or "reward" not in logs:
            return
        for hint in self._watch.look(state.global_step, logs):
            if state.is_world_process_zero:
                log.warning(str(hint), trouble=hint.name, step=state.global_step)


class MetricsCallback(TrainerCallback):
    """Writes every logged line to the metrics file; of several ranks, the first one does."""

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
        """Appends a line, except the summary at the end of a run, which has no reward."""
        if logs and "reward" in logs and state.is_world_process_zero:
            self._file.append(state.global_step, logs)


class ProgressCallback(TrainerCallback):
    """Shows each step: a bar at a terminal, a line elsewhere.

    Args:
        tally: Where the latest batch is counted.
        console: Where to write.
    """

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._bar: Progress | None = None
        self._began = 0.0
        self._first_step = 0

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
        """Shows the step that just ended."""
        line = self._line(state.global_step, state.max_steps)
        if self._bar is None:
            self._console.print(line, highlight=False, soft_wrap=True)
        else:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=state.global_step, description=line)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Leaves the last line on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, step: int, steps: int) -> str:
        pace = (time.monotonic() - self._began) / max(1, step - self._first_step)
        left = round(pace * (steps - step))
        parts = [f"step {step:>{len(str(steps))}}/{steps}"]
        if (batch := self._tally.last) is not None:
            reward = "   none" if batch.reward is None else f"{batch.reward:+7.3f}"
            parts += [
                f"reward {reward}",
                f"invalid {batch.invalid_items / batch.items:4.0%}",
                f"failed {batch.failed_items / batch.items:4.0%}",
            ]
        if self._tally.last_step:
            waited = self._tally.last_waited / self._tally.last_step
            parts.append(f"waited {waited:4.0%}")
        return "  ".join([*parts, f"{pace:.1f} s/step", f"{left // 60}:{left % 60:02} left"])
