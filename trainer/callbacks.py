"""What happens beside a run: metrics to a file, a line of progress, and the stop."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from trainer.history import MetricsFile
from trainer.kl_control import KLControl
from trainer.tally import StopFlag, Tally

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.utils.data import DataLoader
    from trl import GRPOTrainer

__all__ = [
    "AdaptiveKLCallback",
    "MetricsCallback",
    "ProgressCallback",
    "ResumedOrderCallback",
    "StopCallback",
    "TimeLimitCallback",
    "UnscoredStepCallback",
]

log = structlog.get_logger(__name__)


class StopCallback(TrainerCallback):
    """Ends the run, with a checkpoint, after the step in which the flag was set."""

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Looks at the flag."""
        if self._stop.reason is not None:
            control.should_training_stop = True
            control.should_save = True
            control.should_log = True


class UnscoredStepCallback(TrainerCallback):
    """Has a step change nothing whose batch got no reward at all.

    Its advantages are all zero, but the KL term, the optimizer's momentum and weight decay would
    still move the weights. An optimizer passes over parameters without a gradient.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: "Module | None" = None,
        **_: object,
    ) -> None:
        """Takes the gradients away."""
        if self._tally.has_nothing_to_learn_from and model is not None:
            model.zero_grad(set_to_none=True)


class TimeLimitCallback(TrainerCallback):
    """Ends the run normally, after the step in which its time was over.

    Args:
        limit_s: Seconds from the beginning of the training.
        clock: Monotonic seconds.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._began = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Starts the clock."""
        self._began = self._clock()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Looks at the clock."""
        if self._clock() - self._began >= self._limit_s and state.global_step < state.max_steps:
            log.info("the time is over", max_train_s=self._limit_s, step=state.global_step)
            control.should_training_stop = True
            control.should_save = True


class AdaptiveKLCallback(TrainerCallback, ExportableState):
    """Has the weight of the KL term follow the KL, from one logged step to the next.

    The weight goes into ``trainer_state.json`` of every checkpoint, and is taken from there by a
    run that goes on from one. TRL's trainer keeps it in no other place.

    Args:
        trainer: Whose ``beta`` is set; it began above 0.
        control: The rule.
    """

    def __init__(self, trainer: "GRPOTrainer", control: KLControl) -> None:
        self._trainer = trainer
        self._control = control

    def state(self) -> dict[str, dict[str, float]]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"beta": self._trainer.beta}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Takes up the weight of the checkpoint, if there is one and it holds one."""
        kept: Any = state.stateful_callbacks  # a dictionary, whatever its annotation says
        own = kept.setdefault(type(self).__name__, self.state())
        self._trainer.beta = own["attributes"]["beta"]

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Reports the weight that the logged steps had, and sets that of the next."""
        if logs and (kl := logs.get("kl")) is not None:
            logs["kl_coeff"] = self._trainer.beta
            self._trainer.beta = self._control.adapted(self._trainer.beta, kl)


class ResumedOrderCallback(TrainerCallback):
    """Has a resumed run go on with the order of the epoch it is in, not with that of the first.

    TRL's sampler shuffles anew each time around, with a generator that no checkpoint keeps.
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: "DataLoader[Any] | None" = None,
        **_: object,
    ) -> None:
        """Shuffles as often as the run did before."""
        if train_dataloader is None:
            return
        batches: Any = train_dataloader.batch_sampler
        while hasattr(batches, "batch_sampler"):  # of one of several ranks
            batches = batches.batch_sampler
        for _epoch in range(int(state.epoch)):
            next(iter(batches.sampler), None)


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
        return "  ".join([*parts, f"{pace:.1f} s/step", f"{left // 60}:{left % 60:02} left"])
