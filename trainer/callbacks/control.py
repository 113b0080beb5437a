"""What steers a run beside the algorithm: when it ends, what it goes on from, and the KL's weight.

What only watches a run is in :mod:`trainer.callbacks.metrics`. Where several ranks train, all of
them call these at the same points, and agree where one of them alone may know something.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from trl import GRPOTrainer

__all__ = [
    "AdaptiveKLCallback",
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
    """Ends the run, with a checkpoint, after the step in which the flag was set on any rank.

    Args:
        stop: The flag.
        steps_a_batch: Steps on the same completions; it is looked at after the last of them, for no
            checkpoint keeps completions.
    """

    def __init__(self, stop: StopFlag, steps_a_batch: int = 1) -> None:
        self._stop = stop
        self._steps_a_batch = steps_a_batch

    def on_step_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Looks at the flag."""
        if _is_within_batch(state, self._steps_a_batch):
            return
        if (reason := first_of_ranks(self._stop.reason)) is not None:
            self._stop.set(reason)
            control.should_training_stop = True
            control.should_save = True
            control.should_log = True


class UnscoredStepCallback(TrainerCallback):
    """Has a step change nothing whose batch got no reward at all.

    Its advantages are all zero, but the KL term, the optimizer's momentum and weight decay would
    still move the weights. An optimizer passes over parameters without a gradient.
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
        """Takes the gradients away, where no rank has a reward: gradients are shared."""
        if all(from_ranks(self._stats.has_nothing_to_learn_from)) and model is not None:
            model.zero_grad(set_to_none=True)


class TimeLimitCallback(TrainerCallback):
    """Ends the run normally, after the step in which its time was over.

    Args:
        limit_s: Seconds from the beginning of the training.
        clock: Monotonic seconds.
        steps_a_batch: As :class:`StopCallback` has it.
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
        """Looks at the clock."""
        if _is_within_batch(state, self._steps_a_batch):
            return
        is_over = any(from_ranks(self._clock() - self._began >= self._limit_s))
        if is_over and state.global_step < state.max_steps:
            log.info("the time is over", max_train_s=self._limit_s, step=state.global_step)
            control.should_training_stop = True
            control.should_save = True


class InterruptionCallback(TrainerCallback):
    """Says when a signal may break off a step."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def on_step_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """From here on, until weights change, all can be done again."""
        self._interruption.allow(is_safe=True)

    def on_pre_optimizer_step(
        self, args: Args, state: State, control: Control, **_: object
    ) -> None:
        """What follows has to be whole: the step, and the checkpoint after it."""
        self._interruption.allow(is_safe=False)

    def on_train_end(self, args: Args, state: State, control: Control, **_: object) -> None:
        """The trained model is written whole."""
        self._interruption.allow(is_safe=False)


class OriginCallback(TrainerCallback):
    """Has every checkpoint say what it goes on from; of several ranks, the first does.

    Args:
        origin: Which model.
        record: Which settings and rows.
    """

    def __init__(self, origin: ModelOrigin, record: RunRecord | None = None) -> None:
        self._origin = origin
        self._record = record

    def on_save(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Writes it into the checkpoint that was just made."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            self._origin.write(folder)
            record_base(folder)
            if self._record is not None:
                self._record.write(folder)


class ResumedRateCallback(TrainerCallback):
    """Has a resumed run learn at the rate that is set, not at that of the checkpoint.

    The schedule goes on from its step; optimizer and schedule come with the peak of the run before.
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
        """Sets the peak, and the rate of the next step along with it."""
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
    """Has the weight of the KL term follow the KL, from one logged step to the next.

    The weight goes into ``trainer_state.json`` of every checkpoint, and is taken from there by a
    run that goes on from one. TRL's trainer keeps it in no other place.

    Args:
        trainer: Whose ``beta`` is set; it began above 0.
        control: The rule.
        is_set_anew: Whether a run that goes on begins with the weight that is set, in place of the
            checkpoint's.
    """

    def __init__(
        self, trainer: "GRPOTrainer", control: KLControl, is_set_anew: bool = False
    ) -> None:
        self._trainer = trainer
        self._control = control
        self._is_set_anew = is_set_anew

    def state(self) -> dict[str, dict[str, float]]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"beta": self._trainer.beta}}

    def on_train_begin(self, args: Args, state: State, control: Control, **_: object) -> None:
        """Takes up the weight of the checkpoint, if there is one and it holds one."""
        kept: Any = state.stateful_callbacks  # a dictionary, whatever its annotation says
        if self._is_set_anew:
            kept[type(self).__name__] = self.state()
        own = kept.setdefault(type(self).__name__, self.state())
        self._trainer.beta = own["attributes"]["beta"]

    def on_log(
        self, args: Args, state: State, control: Control, logs: Logs = None, **_: object
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
        args: Args,
        state: State,
        control: Control,
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


def _is_within_batch(state: State, steps_a_batch: int) -> bool:
    """Whether another step is to be made on the same completions."""
    return state.global_step % steps_a_batch != 0 and state.global_step < state.max_steps
