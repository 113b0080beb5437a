"""Supervised training on TRL's trainer: the run itself, from checks to report."""

from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError
from trainer.environment import check_report_to, stay_offline
from trainer.evaluation.answers import Generation
from trainer.models.loading import check_model, pick_hardware
from trainer.models.small_model import save_small_model
from trainer.plots import plot_loss
from trainer.runs.arguments import sft_arguments
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.origin import check_origin
from trainer.runs.reports import RunFiles, SFTReport
from trainer.runs.resumption import RunRecord, check_resumed
from trainer.runs.startup import checkpoint_of, warn_of_warmup
from trainer.runs.training_run import PreparedRun, TrainingRun
from trainer.sft.config import SFTTrainingConfig
from trainer.sft.format_check import check_format
from trainer.sft.lessons import Lesson, draw_lessons
from trainer.sft.plans import plan_lessons
from trainer.sft.rows import LessonRows, read_lesson_rows
from trainer.sft.texts import tokenized

if TYPE_CHECKING:
    from trl import SFTTrainer

    from trainer.models.loading import LoadedModel

__all__ = ["PreparedSFT", "prepare_sft", "train_sft"]


@dataclass(frozen=True, kw_only=True)
class PreparedSFT(PreparedRun):
    """Everything that a supervised run needs, checked."""

    rows: LessonRows
    lessons: list[Lesson]
    start: SFTTrainingConfig
    """The settings, with the folder of the model to train: ``untrained/`` for a new model."""

    @property
    def lesson_counts(self) -> dict[str, int]:
        """How many lessons each source contributes."""
        return dict(Counter(lesson.source for lesson in self.lessons))


def prepare_sft(config: SFTTrainingConfig) -> PreparedSFT:
    """Checks paths, hardware and rows, and draws the lessons.

    Raises:
        DatasetError: The dataset is missing, or lacks what a source needs.
        ModelError: The model is missing.
        ConfigError: Settings do not suit the machine, the dataset or the checkpoint.
    """
    check_report_to(config.report_to)
    if not config.is_new:
        check_model(config.model_path)
    checkpoint = checkpoint_of(config.resume_from_checkpoint, config.output_dir)
    start = _start(config, checkpoint)
    check_origin(checkpoint, start)
    hardware = pick_hardware(config)
    plans = plan_lessons(config)
    if plans is not None:
        rows, lessons = LessonRows((), ()), plans
    else:
        rows = read_lesson_rows(config.dataset_path, config.check_rows, config.seed)
        lessons = draw_lessons(rows.train, config)
    a_pass = ceil(len(lessons) / (config.batch_size * config.gradient_accumulation_steps))
    warn_of_warmup(config.max_steps or ceil(config.num_train_epochs * a_pass), config.warmup_steps)
    record = RunRecord.of(config.to_dict(), (one.conversation for one in lessons))
    check_resumed(checkpoint, record, config.resume_changes)
    return PreparedSFT(
        rows=rows,
        lessons=lessons,
        hardware=hardware,
        checkpoint=checkpoint,
        start=start,
        record=record,
    )


def _start(config: SFTTrainingConfig, checkpoint: Path | None) -> SFTTrainingConfig:
    """The settings of a run that starts from a model in a folder.

    If a run with a new model is resumed, this is the model that the original run made. A vocabulary
    learned anew, from other lessons, would attach the trained weights to other words.

    Raises:
        ConfigError: The checkpoint's run did not make a new model.
    """
    if not config.is_new:
        return config
    untrained = (checkpoint.parent if checkpoint else Path(config.output_dir)) / "untrained"
    if checkpoint is not None and not untrained.is_dir():
        raise ConfigError(
            f"resume_from_checkpoint: {checkpoint} needs the new model of its run, but "
            f"{untrained} does not exist; set model_path to the model it was trained from"
        )
    return config.model_copy(update={"model_path": str(untrained)})


def train_sft(config: SFTTrainingConfig, show_progress: bool = True) -> SFTReport:
    """Trains a model on lessons drawn from a dataset.

    Writes into ``output_dir``: ``config.yaml``; ``metrics.jsonl`` and checkpoints during the run;
    and at the end ``loss.png`` with ``model/``, or with ``adapter/`` and ``merged/``, and
    ``samples.jsonl`` with answers to rows that were not trained on. A new model is created in
    ``untrained/``.

    Args:
        config: The settings.
        show_progress: Whether to show progress on standard error.

    Raises:
        InputError: The dataset, the model or a setting is unusable.
    """
    stay_offline()
    return _SFTRun(config, prepare_sft(config), show_progress).run()


class _SFTRun(TrainingRun[SFTTrainingConfig, PreparedSFT, RunFiles, SFTReport]):
    """One run."""

    verb = "sft"

    def __init__(self, config: SFTTrainingConfig, ready: PreparedSFT, show_progress: bool) -> None:
        files = RunFiles.of(config, "loss.png")
        super().__init__(config, ready, files, show_progress)

    @property
    def start(self) -> SFTTrainingConfig:
        """The settings with the model to load; a new one has been saved to a folder by then."""
        return self._ready.start

    def train(self) -> SFTReport:
        """Loads the model, trains it, saves the result, and checks it."""
        if self._config.is_new and self._ready.checkpoint is None:
            conversations = [lesson.conversation for lesson in self._ready.lessons]
            save_small_model(conversations, Path(self.start.model_path), self.start.seed)
        trainer: Any = self._make_trainer(self._load())
        course = self._go(trainer, self._ready.checkpoint)
        trained = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
        self._save(trainer.model, trainer.processing_class)  # merging takes its weights away
        config, unseen = self._config, self._ready.rows.held_out
        asking = Generation(
            max_new_tokens=config.max_new_tokens, batch_size=64, prompt_form=config.prompt_form
        )
        losses = [line["loss"] for line in read_metrics(self._files.metrics)]
        return SFTReport(
            lessons=self._ready.lesson_counts,
            parameters=sum(weight.numel() for weight in trainer.model.parameters()),
            trained_parameters=trained,
            steps=course.steps,
            seconds=course.seconds,
            seconds_per_step=course.seconds_per_step,
            loss_first=losses[0] if losses else None,
            loss_last=losses[-1] if losses else None,
            check=check_format(
                self._files.trained,
                unseen,
                asking,
                self._files.metrics.with_name("samples.jsonl"),
                course.steps,
            ),
            files=self._files,
        )

    def plot(self) -> None:
        """Plots the loss."""
        plot_loss(self._files.metrics, self._files.plot)

    def _make_trainer(self, loaded: "LoadedModel") -> "SFTTrainer":
        from rich.console import Console
        from transformers import DataCollatorForSeq2Seq
        from trl import SFTTrainer

        from trainer.callbacks.progress import LossProgressCallback

        config = self._config
        trainer: Any = SFTTrainer(
            model=loaded.model,
            processing_class=loaded.tokenizer,
            peft_config=loaded.lora,
            args=sft_arguments(config, self._ready.hardware),
            train_dataset=tokenized(self._ready.lessons, loaded.tokenizer, config.max_seq_length),
            data_collator=DataCollatorForSeq2Seq(loaded.tokenizer),
        )
        progress = LossProgressCallback(Console(stderr=True))
        file = MetricsFile(self._files.metrics)
        self._watch(trainer, file, ["loss"], progress, limit_s=config.max_train_s)
        return trainer
