"""Offline post-training: the run itself, from checks to report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.environment import is_first_rank, stay_offline
from trainer.offline.config import OfflineConfig
from trainer.offline.preparation import (
    PreparedOffline,
    StageName,
    newest_checkpoint,
    prepare_offline,
    spread_of,
)
from trainer.plots import plot_offline
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.reports import OfflineFiles, OfflineReport, Validation
from trainer.runs.startup import steps_before
from trainer.runs.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.offline.batches import EncodedGroup
    from trainer.offline.stages import Stage

__all__ = ["train_offline"]


def train_offline(config: OfflineConfig, show_progress: bool = True) -> OfflineReport:
    """Post-trains a model on scored candidates, in two stages.

    Writes into ``output_dir``: ``config.yaml``; ``metrics.jsonl`` during the run; the checkpoints
    of the stages in ``rce/`` and ``grpo/``; and at the end ``offline.png`` with ``model/``, or
    with ``adapter/`` and ``merged/``.

    Args:
        config: The settings.
        show_progress: Whether to show progress on standard error.

    Raises:
        InputError: The candidates, the model or a setting is unusable.
        TrainingStopped: A signal ended the run. A checkpoint was saved.
    """
    stay_offline()
    return _OfflineRun(config, prepare_offline(config), show_progress).run()


class _OfflineRun(TrainingRun[OfflineConfig, PreparedOffline, OfflineFiles, OfflineReport]):
    """One run of the two stages."""

    verb = "offline"

    def __init__(self, config: OfflineConfig, ready: PreparedOffline, show_progress: bool) -> None:
        files = OfflineFiles.of(config, "offline.png")
        super().__init__(config, ready, files, show_progress)
        self._root = Path(config.output_dir)
        self._steps = {"rce": 0, "grpo": 0}
        self._seconds = 0.0
        self._model: Any = None
        """Including its adapter, if it has one."""
        self._tokenizer: Any = None

    @property
    def start(self) -> OfflineConfig:
        """The settings as the model is loaded with them."""
        return self._config.for_loading

    def train(self) -> OfflineReport:
        """Loads the model, trains both stages, and saves the result."""
        loaded = self._load()
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        if loaded.lora is not None:
            from peft import get_peft_model

            self._model = get_peft_model(loaded.model, loaded.lora)
        train, held_out = self._encoded()
        before = None if self._ready.stage else self._assessed(held_out)
        self._imitate(train, held_out)
        best = self._optimize(train, held_out)
        after = self._assessed(held_out)
        if is_first_rank():
            self._save(self._model, self._tokenizer)
        return self._report(train, before, after, best)

    def plot(self) -> None:
        """Plots losses, drift, choices, and the spread of the advantages."""
        plot_offline(self._files.metrics, self._ready.train_advantages, self._files.plot)

    @property
    def _pad(self) -> int:
        """The padding token."""
        own: int | None = self._tokenizer.pad_token_id
        return self._tokenizer.eos_token_id if own is None else own

    def _encoded(self) -> "tuple[list[EncodedGroup], list[EncodedGroup]]":
        """Training and validation queries as tokens."""
        from trainer.offline.batches import Encoder

        ready, config = self._ready, self._config
        encoder = Encoder(self._tokenizer, config.max_seq_length, config.top_k)
        return (
            encoder.encode(ready.train, ready.train_advantages),
            encoder.encode(ready.validation, ready.validation_advantages),
        )

    def _assessed(self, held_out: "list[EncodedGroup]") -> Validation | None:
        from trainer.offline.likeliest import assess

        found = assess(self._model, held_out, self._pad, self._config.batch_size)
        if found is None:
            return None
        return Validation(
            queries=found.queries,
            regret=found.regret / found.queries,
            agreement=found.agreeing / found.queries,
        )

    def _imitate(self, train: "list[EncodedGroup]", held_out: "list[EncodedGroup]") -> None:
        """Stage 1."""
        from trainer.offline.stages import CrossEntropyStage

        config = self._config
        if config.rce_epochs == 0:
            return
        if self._ready.stage == "grpo":
            self._steps["rce"] = steps_before(newest_checkpoint(self._root / "rce"))
            return
        given = self._given("rce", config.rce_epochs, "eval_loss", train, held_out)
        stage = CrossEntropyStage(tau=(config.tau_start, config.tau_end), **given)
        self._run_stage(stage, "rce")

    def _optimize(self, train: "list[EncodedGroup]", held_out: "list[EncodedGroup]") -> Path | None:
        """Stage 2; returns its best checkpoint."""
        from trainer.callbacks.control import AdaptiveKLCallback
        from trainer.offline.batches import with_stored
        from trainer.offline.stages import OfflineGRPOStage

        config, size = self._config, len(train)
        if config.grpo_epochs == 0:
            return None
        known = with_stored(train + held_out, self._stored(train + held_out))
        best_by = f"eval_{config.best_by}"
        stage = OfflineGRPOStage(
            beta=config.kl_coeff,
            epsilon=config.epsilon,
            top_epochs=config.top_k_epochs,
            **self._given("grpo", config.grpo_epochs, best_by, known[:size], known[size:]),
        )
        is_new = "kl_coeff" in self._ready.applied
        adaptive = AdaptiveKLCallback(stage, config.kl_control, is_new)
        stage.callback_handler.callbacks.insert(0, adaptive)  # all others see what it reports
        self._run_stage(stage, "grpo")
        best = stage.state.best_model_checkpoint
        return Path(best) if best else None

    def _stored(self, groups: "list[EncodedGroup]") -> "list[Tensor]":
        """Log-probabilities under the model that stage 2 starts from, or started from."""
        from trainer.offline.likeliest import logps_of
        from trainer.offline.stored import StoredLogps

        stored = StoredLogps(self._root / "grpo" / "stored.safetensors")
        if self._ready.stage == "grpo":
            return stored.read(groups)
        found = logps_of(self._model, groups, self._pad, self._config.batch_size)
        stored.write(groups, found)
        return found

    def _given(
        self,
        name: StageName,
        epochs: int,
        best_by: str,
        train: "list[EncodedGroup]",
        held_out: "list[EncodedGroup]",
    ) -> dict[str, Any]:
        """The arguments that both stages pass to their trainer."""
        from trainer.runs.arguments import stage_arguments

        metric = best_by if self._ready.validation else None
        folder, hardware = self._root / name, self._ready.hardware
        return {
            "pad": self._pad,
            "model": self._model,
            "processing_class": self._tokenizer,
            "args": stage_arguments(self._config, hardware, folder, epochs, metric),
            "train_dataset": train,
            "eval_dataset": held_out or None,
        }

    def _run_stage(self, stage: "Stage", name: StageName) -> None:
        """Trains a stage, with metrics and a progress display."""
        from rich.console import Console

        from trainer.callbacks.progress import LossProgressCallback

        number, before = (1, 0) if name == "rce" else (2, self._steps["rce"])
        file = MetricsFile(self._files.metrics, before, number)
        progress = LossProgressCallback(Console(stderr=True), f"stage {number}")
        self._watch(stage, file, ("loss", "eval_loss"), progress)
        start = self._ready.checkpoint if self._ready.stage == name else None
        imitated = newest_checkpoint(self._root / "rce") if name == "grpo" else None
        course = self._go(stage, start, before=imitated)
        self._seconds += course.seconds
        self._steps[name] = course.steps

    def _report(
        self,
        train: "list[EncodedGroup]",
        before: Validation | None,
        after: Validation | None,
        best: Path | None,
    ) -> OfflineReport:
        lines = [line for line in read_metrics(self._files.metrics) if "kl" in line]
        last = lines[-1] if lines else {}
        return OfflineReport(
            queries=len(train),
            candidates=sum(len(group.candidates) for group in train),
            advantages=spread_of([group.advantages for group in train]),
            rce_steps=self._steps["rce"],
            grpo_steps=self._steps["grpo"],
            seconds=self._seconds,
            before=before,
            after=after,
            kl=last.get("kl"),
            kl_coeff=last.get("kl_coeff"),
            files=self._files.model_copy(update={"best_checkpoint": best}),
        )
