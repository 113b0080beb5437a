"""The skeleton of every training: output folder, checkpoints, and how a run ends.

Each kind of training subclasses :class:`TrainingRun`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import yaml

from shared.errors import TrainingStopped
from trainer.callbacks.interruption import Interrupted, Interruption
from trainer.environment import is_first_rank, name_project, world_size
from trainer.models.adapters import is_adapter, record_base
from trainer.models.loading import Hardware, LoadedModel, load_model
from trainer.models.merging import merged_start
from trainer.ranks import from_ranks
from trainer.runs.checkpoints import whole_checkpoints
from trainer.runs.history import MetricsFile
from trainer.runs.origin import ModelOrigin
from trainer.runs.reports import Course, RunFiles
from trainer.runs.resumption import RunRecord
from trainer.runs.run_stats import StopFlag
from trainer.runs.startup import steps_before, way_on
from trainer.settings import RunSettings

if TYPE_CHECKING:
    from transformers import TrainerCallback

__all__ = ["PreparedRun", "TrainingRun"]

_Config = TypeVar("_Config", bound=RunSettings)
_Prepared = TypeVar("_Prepared", bound="PreparedRun")
_Files = TypeVar("_Files", bound=RunFiles)
_Report = TypeVar("_Report")


@dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """The checked inputs of a run."""

    hardware: Hardware
    checkpoint: Path | None
    """The checkpoint to resume from."""
    record: RunRecord
    """The description of the run that is stored in checkpoints."""
    applied: frozenset[str] = frozenset()
    """Settings whose new values replace those in the checkpoint."""


class TrainingRun(ABC, Generic[_Config, _Prepared, _Files, _Report]):
    """One run.

    Args:
        config: The settings.
        ready: The checked inputs.
        files: The output files.
        show_progress: Whether to show progress on standard error.
        is_at_once: Whether a signal may interrupt a step; with several ranks it never does.
    """

    verb: ClassVar[str]
    """The subcommand of ``greenfork train``."""

    def __init__(
        self,
        config: _Config,
        ready: _Prepared,
        files: _Files,
        show_progress: bool,
        is_at_once: bool = True,
    ) -> None:
        self._config = config
        self._ready = ready
        self._files = files
        self._show_progress = show_progress and is_first_rank()
        self._stop = StopFlag()
        self._interruption = Interruption(self._stop.set, is_at_once and world_size() == 1)

    @abstractmethod
    def train(self) -> _Report:
        """Loads, trains, saves."""

    @abstractmethod
    def plot(self) -> None:
        """Plots the metrics so far."""

    def close(self) -> None:
        """Releases resources, however the run ended; by default there are none."""

    @property
    def start(self) -> RunSettings:
        """The settings with which the model is loaded."""
        return self._config

    def run(self) -> _Report:
        """Trains to the end, or until the run is stopped.

        Raises:
            TrainingStopped: The run was stopped; the message says how to resume.
        """
        from transformers import set_seed
        from transformers.utils.logging import disable_progress_bar

        with self._interruption:
            try:
                disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
                name_project(self._config.wandb_project, self._config.wandb_entity)
                set_seed(self._config.seed)  # before the adapter gets its first weights
                if is_first_rank():
                    self._files.config.parent.mkdir(parents=True, exist_ok=True)
                    text = yaml.safe_dump(self._config.to_dict(), sort_keys=False)
                    self._files.config.write_text(text, encoding="utf-8")
                return self.train()
            except Interrupted as exc:
                raise self._stopped(self._ready.checkpoint) from exc
            finally:
                self.close()

    def _load(self) -> LoadedModel:
        """Loads the model to train.

        If the run starts from an adapter, the merged model is saved first. The new adapter names
        its base model; without a saved copy, that would be the model without the first adapter.
        """
        if self._ready.hardware.backend == "unsloth":
            folder = self._files.config.parent.resolve() / "start"
            start = merged_start(self.start, self._ready.hardware, folder, is_first_rank())
            from_ranks(None)  # the others load what the first one has saved
            return load_model(start, self._ready.hardware)
        loaded = load_model(self.start, self._ready.hardware)
        if loaded.lora is not None and is_adapter(Path(self.start.model_path)):
            folder = self._files.config.parent.resolve() / "start"
            if is_first_rank():
                loaded.model.save_pretrained(folder)
                loaded.tokenizer.save_pretrained(folder)
            loaded.model.name_or_path = str(folder)
        return loaded

    def _watch(
        self,
        trainer: Any,  # noqa: ANN401 - an untyped library
        file: MetricsFile,
        marks: Iterable[str],
        progress: "TrainerCallback",
        *,
        limit_s: float | None = None,
        steps_a_batch: int = 1,
    ) -> None:
        """Adds the callbacks that every run has.

        Args:
            trainer: A trainer of the Transformers library.
            file: The metrics file.
            marks: A logged line is written if it has one of these metrics.
            progress: The callback that shows progress.
            limit_s: Time limit, seconds.
            steps_a_batch: See :class:`trainer.callbacks.control.StopCallback`.
        """
        from transformers import PrinterCallback

        from trainer.callbacks import control
        from trainer.callbacks.metrics import MetricsCallback

        trainer.remove_callback(PrinterCallback)
        origin = ModelOrigin.of(self.start)
        callbacks = [
            control.StopCallback(self._stop, steps_a_batch),
            control.OriginCallback(origin, self._ready.record),
            control.ResumedRateCallback(),
            MetricsCallback(file, *marks),
            control.InterruptionCallback(self._interruption),
        ]
        if limit_s is not None:
            callbacks.append(control.TimeLimitCallback(limit_s, steps_a_batch=steps_a_batch))
        if self._show_progress:
            callbacks.append(progress)
        for callback in callbacks:
            trainer.add_callback(callback)

    def _go(
        self,
        trainer: Any,  # noqa: ANN401 - an untyped library
        start: Path | None,
        before: Path | None = None,
        lost: tuple[type[Exception], ...] = (),
    ) -> Course:
        """Trains until the end, or until the run has to stop.

        Args:
            trainer: A trainer of the Transformers library.
            start: The checkpoint to resume from.
            before: The checkpoint to name if this training has none yet.
            lost: Errors after which the state before the step is saved.

        Raises:
            TrainingStopped: The run had to stop.
        """
        from trainer.callbacks.rollback import RewindCallback

        rewind, steps = RewindCallback(), steps_before(start)
        folder, fallback = Path(trainer.args.output_dir), start or before
        endings: tuple[type[BaseException], ...] = (Interrupted, *lost)
        trainer.add_callback(rewind)
        began = time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
            saved: Path | None = folder / f"checkpoint-{trainer.state.global_step}"
        except endings:
            saved = rewind.save(trainer) or fallback
            trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
        except Exception as exc:
            whole, _ = whole_checkpoints(
                folder
            )  # the failure may have left the last one incomplete
            last = whole[-1][1] if whole else fallback
            exc.add_note(way_on(self.verb, last, self._files.config))
            raise
        seconds = time.monotonic() - began
        if is_first_rank():
            self.plot()
        from_ranks(
            None
        )  # a launcher kills all ranks when one fails: wait until everything is saved
        if self._stop.reason is not None:
            raise self._stopped(saved)
        made = trainer.state.global_step
        return Course(made, made - steps, seconds)

    def _stopped(self, saved: Path | None) -> TrainingStopped:
        """Why the run ended early, and how to resume it."""
        code = None if self._interruption.reason is None else "interrupted"
        way = way_on(self.verb, saved, self._files.config)
        return TrainingStopped(f"{self._stop.reason}. {way}", code)

    def _save(self, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - untyped libraries
        """Saves the model, or the adapter and the merged model."""
        files = self._files
        model.save_pretrained(files.trained)
        tokenizer.save_pretrained(files.trained)
        record_base(files.trained)
        if files.merged is None:
            return
        if self._ready.hardware.backend == "unsloth":
            model.save_pretrained_merged(str(files.merged), tokenizer, save_method="merged_16bit")
        else:
            model.merge_and_unload().save_pretrained(files.merged)
            tokenizer.save_pretrained(files.merged)
