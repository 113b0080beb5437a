"""Callbacks that steer a run: when it ends, what it resumes from, and the weight of the KL term.

Callbacks that only observe are in :mod:`trainer.callbacks.metrics`. All ranks call these callbacks
at the same points and exchange what only one of them may know.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from trainer.callbacks.events import Args, Control, Logs, State
from trainer.callbacks.interruption import Interruption
from trainer.callbacks.kl_control import KLControl
from trainer.models.adapters import record_base
from trainer.ranks import first_of_ranks, from_ranks
from trainer.runs.origin import ModelOrigin
from trainer.runs.resumption import RunRecord
from trainer.runs.run_stats import RunStats, StopFlag

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.utils.data import DataLoader
    from transformers import Trainer
    from trl import GRPOTrainer

__all__ = [
    "AdaptiveKLCallback",
    "AdaptiveTemperatureCallback",
    "InterruptionCallback",
    "OriginCallback",
    "ResumedOrderCallback",
    "ResumedRateCallback",
    "StopCallback",
    "TimeLimitCallback",
    "UnscoredStepCallback",
]

log = structlog.get_logger(__name__)


class StopCallback(TrainerCallback):
    """Ends the run with a checkpoint after the step in which any rank set the flag.

    Args:
        stop: The flag.
        steps_a_batch: Steps per batch of completions; the flag is checked after the last of them,
            because checkpoints do not contain completions.
    """

    def __init__(self, stop: StopFlag, steps_a_batch: int = 1) -> None:
        self._stop = stop
        self._steps_a_batch = steps_a_batch

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Checks the flag."""
        if _is_within_batch(state, self._steps_a_batch):
            return
        if (reason := first_of_ranks(self._stop.reason)) is not None:
            self._stop.set(reason)
            control.should_training_stop = True
            control.should_save = True
            control.should_log = True


class UnscoredStepCallback(TrainerCallback):
    """Makes a step change nothing if its batch got no reward at all.

    All advantages are zero then, but the KL term, momentum and weight decay would still change the
    weights. Optimizers skip parameters without a gradient.
    """

    def __init__(self, stats: RunStats) -> None:
        self._stats = stats

    def on_pre_optimizer_step(
        self,
        args: Args,
        state: State,
        control: Control,
        model: "Module | None" = None,
        **_: object,
    ) -> None:
        """Removes the gradients if no rank has a reward; ranks share gradients."""
        if all(from_ranks(self._stats.has_nothing_to_learn_from)) and model is not None:
            model.zero_grad(set_to_none=True)


class TimeLimitCallback(TrainerCallback):
    """Ends the run normally after the step in which the time limit was reached.

    Args:
        limit_s: Seconds since the start of the training.
        clock: Monotonic seconds.
        steps_a_batch: See :class:`StopCallback`.
    """

    def __init__(
        self,
        limit_s: float,
        clock: Callable[[], float] = time.monotonic,
        steps_a_batch: int = 1,
    ) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._steps_a_batch = steps_a_batch
        self._began = 0.0

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Starts the clock."""
        self._began = self._clock()

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Checks the clock."""
        if _is_within_batch(state, self._steps_a_batch):
            return
        is_over = any(from_ranks(self._clock() - self._began >= self._limit_s))
        if is_over and state.global_step < state.max_steps:
            log.info("the time limit is reached", max_train_s=self._limit_s, step=state.global_step)
            control.should_training_stop = True
            control.should_save = True


class InterruptionCallback(TrainerCallback):
    """Tells the interruption when a signal may abort a step."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def on_step_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """From here until weights change, everything can be repeated."""
        self._interruption.allow(is_safe=True)

    def on_pre_optimizer_step(
        self, args: Args, state: State, control: Control, **_: object
    ) -> None:
        """The step and the checkpoint after it must not be aborted."""
        self._interruption.allow(is_safe=False)

    def on_train_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Saving the trained model must not be aborted."""
        self._interruption.allow(is_safe=False)


class OriginCallback(TrainerCallback):
    """Adds the origin and the record to every checkpoint; only the first rank writes.

    Args:
        origin: The model that the run started from.
        record: The settings and rows of the run.
    """

    def __init__(self, origin: ModelOrigin, record: RunRecord | None = None) -> None:
        self._origin = origin
        self._record = record

    def on_save(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Writes them to the new checkpoint."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            self._origin.write(folder)
            record_base(folder)
            if self._record is not None:
                self._record.write(folder)


class ResumedRateCallback(TrainerCallback):
    """Makes a resumed run use the configured learning rate instead of the checkpoint's.

    The schedule continues from its step, but optimizer and schedule restore the previous peak.
    """

    def on_train_begin(
        self,
        args: Args,
        state: State,
        control: Control,
        lr_scheduler: Any = None,  # noqa: ANN401 - one of several untyped ones
        optimizer: Any = None,  # noqa: ANN401
        **_: object,
    ) -> None:
        """Sets the peak rate and the rate of the next step."""
        schedule = getattr(lr_scheduler, "scheduler", lr_scheduler)
        peaks = getattr(schedule, "base_lrs", None)
        if not state.global_step or not peaks or max(peaks) == args.learning_rate:
            return
        factor = args.learning_rate / max(peaks)
        schedule.base_lrs = [peak * factor for peak in peaks]
        for group in optimizer.param_groups:
            group["lr"] *= factor
            group["initial_lr"] = group.get("initial_lr", max(peaks)) * factor
        schedule._last_lr = [group["lr"] for group in optimizer.param_groups]


class AdaptiveKLCallback(TrainerCallback, ExportableState):
    """Adapts the weight of the KL term to the KL at each logged step.

    The weight is stored in ``trainer_state.json`` of every checkpoint and restored from there. TRL
    does not store it anywhere else.

    Args:
        trainer: The trainer whose ``beta`` is set; it must start above 0.
        control: The rule.
        is_set_anew: Whether a resumed run starts with the configured weight instead of the
            checkpoint's.
    """

    follows: ClassVar[str] = "beta"
    """The attribute of the trainer that is set."""
    logged: ClassVar[str] = "kl_coeff"
    """Its name in a line of metrics."""

    def __init__(
        self, trainer: "GRPOTrainer | Trainer", control: KLControl, is_set_anew: bool = False
    ) -> None:
        self._trainer = trainer
        self._control = control
        self._is_set_anew = is_set_anew

    def state(self) -> dict[str, dict[str, float]]:
        """The state to store in a checkpoint."""
        return {"args": {}, "attributes": {self.follows: getattr(self._trainer, self.follows)}}

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Restores the weight from the checkpoint, if it contains one."""
        kept: Any = state.stateful_callbacks  # a dictionary, whatever its annotation says
        if self._is_set_anew:
            kept[type(self).__name__] = self.state()
        own = kept.setdefault(type(self).__name__, self.state())
        setattr(self._trainer, self.follows, own["attributes"][self.follows])

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
    ) -> None:
        """Reports the weight of the logged steps and sets that of the next."""
        if logs and (kl := logs.get("kl")) is not None:
            used: float = getattr(self._trainer, self.follows)
            logs[self.logged] = used
            setattr(self._trainer, self.follows, self._control.adapted(used, kl))


class AdaptiveTemperatureCallback(AdaptiveKLCallback):
    """Adapts the temperature of the offline GRPO stage to the KL, in the same way.

    The further the model is from its start, the less its advantages count.
    """

    follows = "temperature"
    logged = "temperature"


class ResumedOrderCallback(TrainerCallback):
    """Makes a resumed run continue with the row order of its epoch, not of the first epoch.

    TRL's sampler reshuffles in every epoch, with a generator that checkpoints do not contain.
    """

    def on_train_begin(
        self,
        args: Args,
        state: State,
        control: Control,
        train_dataloader: "DataLoader[Any] | None" = None,
        **_: object,
    ) -> None:
        """Shuffles as often as the run did before the checkpoint."""
        if train_dataloader is None:
            return
        batches: Any = train_dataloader.batch_sampler
        while hasattr(batches, "batch_sampler"):  # wrapped once per rank
            batches = batches.batch_sampler
        for _epoch in range(int(state.epoch)):
            next(iter(batches.sampler), None)


def _is_within_batch(state: State, steps_a_batch: int) -> bool:
    """Whether another step on the same completions follows."""
    return state.global_step % steps_a_batch != 0 and state.global_step < state.max_steps
