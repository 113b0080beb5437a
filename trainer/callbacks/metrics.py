"""What watches a run: metrics to a file, times, and hints at trouble."""

import time
from collections.abc import Callable

import structlog
from transformers import TrainerCallback

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.callbacks.health import HealthWatch
from trainer.runs.history import MetricsFile
from trainer.runs.run_stats import RunStats

__all__ = ["STEP_MARKS", "HealthCallback", "MetricsCallback", "TimingCallback"]

STEP_MARKS = frozenset({"reward", "loss"})
"""A logged line of a GRPO run is about steps where it has one of these. A second step on the same
completions has no reward; the summary at the end has neither."""

log = structlog.get_logger(__name__)


class TimingCallback(TrainerCallback):
    """Takes the time of every step, and logs it with the share that went by waiting for rewards.

    To be called before all who read what is logged.

    Args:
        stats: Where the times are counted.
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
        """Reports the mean time and the share since the line before."""
        stats = self._stats
        steps_s = stats.step_seconds - self._steps_s
        if not logs or "reward" not in logs or not steps_s:
            return
        logs["reward_service/waited_share"] = (stats.waited_seconds - self._waited_s) / steps_s
        logs["step_seconds"] = steps_s / self._steps
        self._waited_s, self._steps_s, self._steps = stats.waited_seconds, stats.step_seconds, 0


class HealthCallback(TrainerCallback):
    """Says in one line what begins to go wrong; of several ranks, the first one does."""

    def __init__(self, watch: HealthWatch) -> None:
        self._watch = watch

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Tells where the run begins."""
        self._watch.begin(state.global_step)

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Looks at a line of metrics."""
        if not logs or STEP_MARKS.isdisjoint(logs):
            return
        for hint in self._watch.look(state.global_step, logs):
            if state.is_world_process_zero:
                log.warning(str(hint), trouble=hint.name, step=state.global_step)


class MetricsCallback(TrainerCallback):
    """Writes every logged line to the metrics file; of several ranks, the first one does.

    Args:
        file: Where to write.
        marks: A line has one of these metrics; the summary at the end of a run has none.
    """

    def __init__(self, file: MetricsFile, *marks: str) -> None:
        self._file = file
        self._marks = frozenset(marks)

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Keeps what a resumed run logged before."""
        if state.is_world_process_zero:
            self._file.begin(state.global_step)

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Appends a line."""
        if logs and self._marks & logs.keys() and state.is_world_process_zero:
            self._file.append(state.global_step, logs)
