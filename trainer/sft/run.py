"""Supervised training on TRL's trainer: the run itself, from checks to report."""

import time
from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from shared.errors import ConfigError, TrainingStopped
from trainer.callbacks.interruption import Interrupted, Interruption
from trainer.evaluation.answers import Generation
from trainer.models.adapters import record_base
from trainer.models.loading import Hardware, check_model, load_model, pick_hardware
from trainer.models.merged_start import keep_merged_start
from trainer.models.small_model import save_small_model
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.origin import ModelOrigin, check_origin
from trainer.runs.resumption import RunRecord, check_resumed, may_model_differ
from trainer.runs.run_stats import StopFlag
from trainer.runs.startup import (
    check_report_to,
    checkpoint_of,
    stay_offline,
    steps_before,
    warn_of_warmup,
    way_on,
    way_on_after,
)
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.format_check import check_format
from trainer.sft.lessons import Lesson, draw_lessons
from trainer.sft.plots import plot_loss
from trainer.sft.report import SFTFiles, SFTReport
from trainer.sft.rows import LessonRows, read_lesson_rows
from trainer.sft.texts import tokenized

if TYPE_CHECKING:
    from trl import SFTTrainer

    from trainer.models.loading import LoadedModel

__all__ = ["Prepared", "prepare_sft", "train_sft"]


@dataclass(frozen=True)
class Prepared:
    """What a run needs, checked."""

    rows: LessonRows
    lessons: list[Lesson]
    hardware: Hardware
    checkpoint: Path | None
    """What to go on from."""
    start: SFTTrainingConfig
    """The settings, with the folder of the model that is trained: a new one's is ``untrained/``."""
    record: RunRecord
    """What checkpoints say of the run."""

    @property
    def lesson_counts(self) -> dict[str, int]:
        """How many lessons each source gives."""
        return dict(Counter(lesson.source for lesson in self.lessons))


def prepare_sft(config: SFTTrainingConfig) -> Prepared:
    """Checks paths, hardware and rows, and draws the lessons.

    Raises:
        DatasetError: The dataset is missing, or lacks what a source needs.
        ModelError: The model is missing.
        ConfigError: Settings do not fit the machine, the dataset or the checkpoint.
    """
    check_report_to(config.report_to)
    if not config.is_new:
        check_model(config.model_path)
    checkpoint = checkpoint_of(config.resume_from_checkpoint, config.output_dir)
    start = _start(config, checkpoint)
    if checkpoint is not None:
        check_origin(checkpoint, start, may_differ=may_model_differ(config.resume_changes))
    hardware = pick_hardware(config)
    rows = read_lesson_rows(config.dataset_path, config.check_rows, config.seed)
    lessons = draw_lessons(rows.train, config)
    a_pass = ceil(len(lessons) / (config.batch_size * config.gradient_accumulation_steps))
    warn_of_warmup(config.max_steps or ceil(config.num_train_epochs * a_pass), config.warmup_steps)
    record = RunRecord.of(config.to_dict(), (one.conversation for one in lessons))
    if checkpoint is not None:
        check_resumed(checkpoint, record, config.resume_changes)
    return Prepared(rows, lessons, hardware, checkpoint, start, record)


def _start(config: SFTTrainingConfig, checkpoint: Path | None) -> SFTTrainingConfig:
    """The run from a model in a folder.

    A new model is the one that the checkpoint's run made. Learned again, from other lessons, its
    vocabulary would give the trained weights other words.

    Raises:
        ConfigError: The checkpoint's run made none.
    """
    if not config.is_new:
        return config
    untrained = (checkpoint.parent if checkpoint else Path(config.output_dir)) / "untrained"
    if checkpoint is not None and not untrained.is_dir():
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} needs the new model that its run began with, "
            f"and there is no {untrained}; set model_path to the model that it goes on from"
        )
    return config.starting_from(str(untrained))


def train_sft(config: SFTTrainingConfig, show_progress: bool = True) -> SFTReport:
    """Trains a model on lessons drawn from a dataset.

    Writes into ``output_dir``: ``config.yaml``, ``metrics.jsonl`` as the run goes, checkpoints, and
    at the end ``model/``, or ``adapter/`` and ``merged/``, and ``loss.png``. A new model is made in
    ``untrained/``.

    Args:
        config: The settings.
        show_progress: Whether progress is shown on standard error.

    Raises:
        InputError: The dataset, the model or a setting is unusable.
    """
    stay_offline()
    ready = prepare_sft(config)
    run = _Run(config, ready)
    with run.interruption:
        try:
            return run.train(show_progress)
        except Interrupted as exc:
            raise run.stopped(ready.checkpoint) from exc


class _Run:
    """One run: what its parts share, and the order of things."""

    def __init__(self, config: SFTTrainingConfig, ready: Prepared) -> None:
        self._config = config
        self._ready = ready
        has_adapter = config.lora_rank > 0
        self._files = SFTFiles.under(Path(config.output_dir), has_adapter, config.save_merged)
        self._stop = StopFlag()
        self.interruption = Interruption(self._stop.set)

    def stopped(self, saved: Path | None) -> TrainingStopped:
        """Why the run ended before its time, and how to go on."""
        way = way_on("sft", saved, self._files.config)
        return TrainingStopped(f"{self._stop.reason}. {way}", "interrupted")

    def train(self, show_progress: bool) -> SFTReport:
        """Loads, trains, saves, checks."""
        from transformers import set_seed
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
        set_seed(self._config.seed)  # before the adapter gets its first weights
        self._write_config()
        trainer: Any = self._make_trainer(self._load(), show_progress)
        checkpoint = self._ready.checkpoint
        before = steps_before(checkpoint)
        began = time.monotonic()
        self._go(trainer, checkpoint)
        seconds = time.monotonic() - began
        trained = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
        self._save(trainer)  # merging takes the adapter's weights away
        plot_loss(self._files.metrics, self._files.plot)
        return self._report(trainer, trainer.state.global_step - before, seconds, trained)

    def _go(self, trainer: Any, start: Path | None) -> None:  # noqa: ANN401 - untyped libraries
        """Trains until the end, or until a signal comes.

        Raises:
            TrainingStopped: One came; a checkpoint was saved.
        """
        from trainer.callbacks.rollback import RewindCallback

        rewind = RewindCallback()
        trainer.add_callback(rewind)
        try:
            trainer.train(resume_from_checkpoint=str(start) if start else None)
            saved: Path | None = Path(trainer.args.output_dir, f"checkpoint-{_steps(trainer)}")
        except Interrupted:
            saved = rewind.save(trainer) or start
            trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
        except Exception as exc:
            way_on_after(exc, "sft", self._files.config, start)
            raise
        if self._stop.reason is not None:
            raise self.stopped(saved)

    def _write_config(self) -> None:
        self._files.config.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self._config.to_dict(), sort_keys=False)
        self._files.config.write_text(text, encoding="utf-8")

    def _load(self) -> "LoadedModel":
        start = self._ready.start
        if self._config.is_new and self._ready.checkpoint is None:
            conversations = [lesson.conversation for lesson in self._ready.lessons]
            save_small_model(conversations, Path(start.model_path), start.seed)
        loaded = load_model(start, self._ready.hardware)
        keep_merged_start(loaded, start.model_path, Path(start.output_dir))
        return loaded

    def _make_trainer(self, loaded: "LoadedModel", show_progress: bool) -> "SFTTrainer":
        from rich.console import Console
        from transformers import DataCollatorForSeq2Seq, PrinterCallback
        from trl import SFTTrainer

        from trainer.callbacks.control import (
            InterruptionCallback,
            OriginCallback,
            ResumedRateCallback,
            StopCallback,
            TimeLimitCallback,
        )
        from trainer.callbacks.metrics import MetricsCallback
        from trainer.callbacks.progress import LossProgressCallback
        from trainer.sft.arguments import sft_arguments

        config = self._config
        trainer: Any = SFTTrainer(
            model=loaded.model,
            processing_class=loaded.tokenizer,
            peft_config=loaded.lora,
            args=sft_arguments(config, self._ready.hardware),
            train_dataset=tokenized(self._ready.lessons, loaded.tokenizer, config.max_seq_length),
            data_collator=DataCollatorForSeq2Seq(loaded.tokenizer),
            callbacks=[
                OriginCallback(ModelOrigin.of(self._ready.start), self._ready.record),
                ResumedRateCallback(),
                StopCallback(self._stop),
                InterruptionCallback(self.interruption),
                MetricsCallback(MetricsFile(self._files.metrics), "loss"),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        if config.max_train_s is not None:
            trainer.add_callback(TimeLimitCallback(config.max_train_s))
        if show_progress:
            trainer.add_callback(LossProgressCallback(Console(stderr=True)))
        return trainer

    def _save(self, trainer: Any) -> None:  # noqa: ANN401 - untyped libraries
        """Writes the model; or the adapter, and the model with the adapter merged into it."""
        model, tokenizer, files = trainer.model, trainer.processing_class, self._files
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

    def _report(
        self,
        trainer: Any,  # noqa: ANN401 - untyped libraries
        new_steps: int,
        seconds: float,
        trained: int,
    ) -> SFTReport:
        losses = [line["loss"] for line in read_metrics(self._files.metrics)]
        held_out = self._ready.rows.held_out
        return SFTReport(
            lessons=self._ready.lesson_counts,
            parameters=sum(weight.numel() for weight in trainer.model.parameters()),
            trained_parameters=trained,
            steps=trainer.state.global_step,
            seconds=seconds,
            seconds_per_step=seconds / new_steps if new_steps > 0 else None,
            loss_first=losses[0] if losses else None,
            loss_last=losses[-1] if losses else None,
            check=check_format(self._files.trained, held_out, _answering(self._config)),
            files=self._files,
        )


def _steps(trainer: Any) -> int:  # noqa: ANN401 - an untyped library
    steps: int = trainer.state.global_step
    return steps


def _answering(config: SFTTrainingConfig) -> Generation:
    """How the trained model is asked."""
    return Generation(
        max_new_tokens=config.max_new_tokens, batch_size=64, prompt_form=config.prompt_form
    )
