"""Offline post-training: the run itself, from checks to report."""

from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

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
from trainer.ranks import from_ranks
from trainer.runs.history import MetricsFile, read_metrics
from trainer.runs.reports import OfflineFiles, OfflineReport, Validation
from trainer.runs.startup import steps_before
from trainer.runs.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.offline.batches import Collator, EncodedGroup
    from trainer.offline.stages import Stage

__all__ = ["StagedRun", "train_offline"]

_NUMBERS: dict[StageName, int] = {"sft": 0, "rce": 1, "grpo": 2}
"""What a stage is called in metrics, in the order in which they run."""

_Config = TypeVar("_Config", bound=OfflineConfig)

_log = structlog.get_logger(__name__)


def train_offline(config: OfflineConfig, show_progress: bool = True) -> OfflineReport:
    """Post-trains a model on scored candidates, in two stages.

    Writes into ``output_dir``: ``config.yaml``, ``metrics.jsonl`` as the run goes, the checkpoints
    of the stages in ``rce/`` and ``grpo/``, at the end ``model/``, or ``adapter/`` and ``merged/``,
    with the weights of the best checkpoint of stage 2, ``last/`` with those of the last step,
    ``offline.png``, and ``samples.jsonl`` with the likeliest candidates of held-out queries.

    Args:
        config: The settings.
        show_progress: Whether to show progress on standard error.

    Raises:
        InputError: The candidates, the model or a setting is unusable.
        TrainingStopped: A signal ended the run. A checkpoint was saved.
    """
    stay_offline()
    return _OfflineRun(config, prepare_offline(config), show_progress).run()


class StagedRun(
    TrainingRun[_Config, PreparedOffline, OfflineFiles, OfflineReport], Generic[_Config]
):
    """One run of stages on candidate groups, whatever reads these.

    Subclasses load the model, encode the queries, and say how batches are made.
    """

    verb = "offline"

    def __init__(self, config: _Config, ready: PreparedOffline, show_progress: bool) -> None:
        files = OfflineFiles.of(config, "offline.png")
        super().__init__(config, ready, files, show_progress)
        self._root = Path(config.output_dir)
        self._steps = dict.fromkeys(_NUMBERS, 0)
        self._seconds = 0.0
        self._model: Any = None
        """Including its adapter, if it has one."""
        self._tokenizer: Any = None

    @abstractmethod
    def load(self) -> None:
        """Loads the model to train, and its tokenizer where it has one."""

    @abstractmethod
    def encoded(self) -> "tuple[list[EncodedGroup], list[EncodedGroup]]":
        """Training and validation queries as the model reads them."""

    @property
    @abstractmethod
    def collator(self) -> "Collator":
        """Makes batches of these."""

    def train(self) -> OfflineReport:
        """Loads, trains the stages, saves."""
        self.load()
        train, held_out = self.encoded()
        before = None if self._ready.stage else self._assessed(held_out)
        self._imitate(train, held_out)
        best = self._optimize(train, held_out)
        after = self._assessed(held_out)
        if is_first_rank():
            self._sample(held_out)
            self._save(self._model, self._tokenizer)
        return self._report(train, before, after, best)

    def _sample(self, held_out: "list[EncodedGroup]") -> None:
        """Writes what the model prefers, where there are texts to show."""
        from trainer.offline.likeliest import write_samples

        if self._tokenizer is not None and held_out:
            path, step = self._files.metrics.with_name("samples.jsonl"), sum(self._steps.values())
            queries = self._ready.validation
            write_samples(path, self._model, queries, held_out, self.collator, step)

    def plot(self) -> None:
        """Plots losses, drift, choices, and the spread of the advantages."""
        plot_offline(self._files.metrics, self._ready.train_advantages, self._files.plot)

    def _assessed(self, held_out: "list[EncodedGroup]") -> Validation | None:
        from trainer.offline.likeliest import assess

        found = assess(self._model, held_out, self.collator, self._config.batch_size)
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
        if self._is_to_run("rce", config.rce_epochs):
            given = self._given("rce", config.rce_epochs, "eval_loss", train, held_out)
            stage = CrossEntropyStage(tau=(config.tau_start, config.tau_end), **given)
            self._run_stage(stage, "rce")

    def _optimize(self, train: "list[EncodedGroup]", held_out: "list[EncodedGroup]") -> Path | None:
        """Stage 2; the model then has the weights of the best checkpoint, which is given."""
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
            temperature=config.temperature,
            **self._given("grpo", config.grpo_epochs, best_by, known[:size], known[size:]),
        )
        self._follow_kl(stage)
        self._run_stage(stage, "grpo")
        return self._best_of(stage)

    def _follow_kl(self, stage: "Stage") -> None:
        """Adds what follows the KL; all other callbacks see what it reports."""
        from trainer.callbacks.control import AdaptiveKLCallback, AdaptiveTemperatureCallback

        config, is_new = self._config, "kl_coeff" in self._ready.applied
        first: list[Any] = [AdaptiveKLCallback(stage, config.kl_control, is_new)]
        if config.temperature_control is not None:
            first.append(AdaptiveTemperatureCallback(stage, config.temperature_control))
        stage.callback_handler.callbacks[:0] = first

    def _best_of(self, stage: "Stage") -> Path | None:
        """Saves the weights of the last step, and loads those of the best checkpoint."""
        if stage.state.best_model_checkpoint is None:
            return None
        best = self._root / "grpo" / Path(stage.state.best_model_checkpoint).name
        if not best.is_dir():
            _log.warning("the best checkpoint is gone; the last weights are kept", path=str(best))
            return None
        if is_first_rank():
            self._model.save_pretrained(self._root / "last")
            if self._tokenizer is not None:
                self._tokenizer.save_pretrained(self._root / "last")
        from_ranks(None)  # no rank changes weights that another still saves
        stage.state.best_model_checkpoint = str(best)
        stage._load_best_model()
        return best

    def _stored(self, groups: "list[EncodedGroup]") -> "list[Tensor]":
        """Log-probabilities under the model that stage 2 starts from, or started from."""
        from trainer.offline.likeliest import logps_of
        from trainer.offline.stored import StoredLogps

        stored = StoredLogps(self._root / "grpo" / "stored.safetensors")
        if self._ready.stage == "grpo":
            return stored.read(groups)
        found = logps_of(self._model, groups, self.collator, self._config.batch_size)
        stored.write(groups, found)
        return found

    def _is_to_run(self, name: StageName, epochs: int) -> bool:
        """Whether a stage is run: it has epochs, and the run does not go on from a later one."""
        if epochs == 0:
            return False
        if self._ready.stage is None or _NUMBERS[self._ready.stage] <= _NUMBERS[name]:
            return True
        self._steps[name] = steps_before(newest_checkpoint(self._root / name))
        return False

    def _given(
        self,
        name: StageName,
        epochs: int,
        best_by: str,
        train: "list[EncodedGroup]",
        held_out: "list[EncodedGroup]",
    ) -> dict[str, Any]:
        """What all stages give to their trainer."""
        from trainer.runs.arguments import stage_arguments

        metric = best_by if self._ready.validation else None
        folder, hardware = self._root / name, self._ready.hardware
        return {
            "collator": self.collator,
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

        number = _NUMBERS[name]
        earlier = [one for one, at in _NUMBERS.items() if at < number]
        file = MetricsFile(self._files.metrics, sum(self._steps[one] for one in earlier), number)
        progress = LossProgressCallback(Console(stderr=True), f"stage {number}")
        self._watch(stage, file, ("loss", "eval_loss"), progress)
        start = self._ready.checkpoint if self._ready.stage == name else None
        saved = [newest_checkpoint(self._root / one) for one in reversed(earlier)]
        course = self._go(stage, start, before=next(filter(None, saved), None))
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
        final = lines[-1] if lines else {}
        found = {"best_checkpoint": best, "last": self._root / "last" if best else None}
        return OfflineReport(
            queries=len(train),
            candidates=sum(len(group.candidates) for group in train),
            advantages=spread_of([group.advantages for group in train]),
            sft_steps=self._steps["sft"],
            rce_steps=self._steps["rce"],
            grpo_steps=self._steps["grpo"],
            seconds=self._seconds,
            before=before,
            after=after,
            kl=final.get("kl"),
            kl_coeff=final.get("kl_coeff"),
            temperature=final.get("temperature"),
            files=self._files.model_copy(update=found),
        )


class _OfflineRun(StagedRun[OfflineConfig]):
    """Two stages of a language model."""

    @property
    def start(self) -> OfflineConfig:
        """The settings as the model is loaded with them."""
        return self._config.for_loading

    def load(self) -> None:
        """The model with its adapter, and its tokenizer."""
        loaded = self._load()
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        if loaded.lora is not None:
            from peft import get_peft_model

            self._model = get_peft_model(loaded.model, loaded.lora)

    @property
    def collator(self) -> "Collator":
        """Filled up with the tokenizer's own token."""
        from trainer.offline.batches import collate

        own: int | None = self._tokenizer.pad_token_id
        return partial(collate, pad=self._tokenizer.eos_token_id if own is None else own)

    def encoded(self) -> "tuple[list[EncodedGroup], list[EncodedGroup]]":
        """As tokens."""
        from trainer.offline.batches import Encoder

        ready, config = self._ready, self._config
        encoder = Encoder(self._tokenizer, config.max_seq_length, config.top_k)
        return (
            encoder.encode(ready.train, ready.train_advantages),
            encoder.encode(ready.validation, ready.validation_advantages),
        )
