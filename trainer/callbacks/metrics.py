"""Callbacks that observe a run: metrics file, times, and hints about problems."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.callbacks.health import HealthWatch, Hint
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.run_stats import RunStats

__all__ = ["STEP_MARKS", "HealthCallback", "MetricsCallback", "TimingCallback"]

STEP_MARKS = frozenset({"reward", "loss"})
"""A logged line of a GRPO run describes steps if it has one of these. A second step on the same
completions has no reward; the final summary has neither."""

log = structlog.get_logger(__name__)


class TimingCallback(TrainerCallback):
    """Measures the time per step, and logs it with the share spent waiting for rewards.

    Must come before all callbacks that read the log.

    Args:
        stats: The statistics to update.
        clock: Monotonic seconds.
    """

    def __init__(self, stats: RunStats, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._clock = clock
        self._began = 0.0
        self._waited_s, self._steps_s, self._steps = 0.0, 0.0, 0

    def on_step_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Starts the clock."""
        self._began = self._clock()

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Stops it."""
        self._steps += 1
        self._stats.stepped(self._clock() - self._began)

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Reports the mean time and the share since the previous line."""
        stats = self._stats
        steps_s = stats.step_seconds - self._steps_s
        if not logs or "reward" not in logs or not steps_s:
            return
        logs["reward_service/waited_share"] = (stats.waited_seconds - self._waited_s) / steps_s
        logs["step_seconds"] = steps_s / self._steps
        self._waited_s, self._steps_s, self._steps = stats.waited_seconds, stats.step_seconds, 0


class HealthCallback(TrainerCallback):
    """Logs problems as they begin, one line each; only on the first rank.

    Args:
        watch: Finds them.
        path: JSON lines of the same, for ``greenfork report``; None: nowhere.
    """

    def __init__(self, watch: HealthWatch, path: Path | None = None) -> None:
        self._watch = watch
        self._path = path

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Sets the first step."""
        self._watch.begin(state.global_step)
        if self._path is not None and state.is_world_process_zero:
            begun = state.global_step
            kept = (
                [one for one in read_metrics(self._path) if one["step"] <= begun] if begun else []
            )
            self._path.write_text("".join(f"{json.dumps(one)}\n" for one in kept))

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Checks a line of metrics."""
        if not logs or STEP_MARKS.isdisjoint(logs):
            return
        for hint in self._watch.look(state.global_step, logs):
            if state.is_world_process_zero:
                log.warning(str(hint), trouble=hint.name, step=state.global_step)
                self._note(state.global_step, hint)

    def _note(self, step: int, hint: Hint) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                told = {"step": step, "trouble": hint.name, "hint": str(hint)}
                file.write(f"{json.dumps(told)}\n")


class MetricsCallback(TrainerCallback):
    """Writes every logged line to the metrics file; only on the first rank.

    Args:
        file: The metrics file.
        marks: A line is written if it has one of these; the final summary has none.
    """

    def __init__(self, file: MetricsFile, *marks: str) -> None:
        self._file = file
        self._marks = frozenset(marks)

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Keeps the lines from before a resumed run's checkpoint."""
        if state.is_world_process_zero:
            self._file.begin(state.global_step)

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Appends a line."""
        if logs and self._marks & logs.keys() and state.is_world_process_zero:
            self._file.append(state.global_step, logs)
