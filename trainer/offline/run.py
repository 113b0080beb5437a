"""Offline post-training: the run itself, from checks to report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from trainer.models.adapters import record_base
from trainer.models.loading import load_model
from trainer.models.merged_start import keep_merged_start
from trainer.offline.plots import plot_offline
from trainer.offline.preparation import Prepared, newest_checkpoint, prepare_offline, spread_of
from trainer.offline.report import OfflineFiles, OfflineReport, Validation
from trainer.offline.settings import OfflineConfig
from trainer.runs.history import read_metrics
from trainer.runs.origin import ModelOrigin
from trainer.runs.startup import stay_offline, steps_before

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.models.loading import LoadedModel
    from trainer.offline.batches import EncodedGroup
    from trainer.offline.stages import Stage

__all__ = ["train_offline"]


def train_offline(config: OfflineConfig, show_progress: bool = True) -> OfflineReport:
    """Post-trains a model on scored candidates, in two stages.

    Writes into ``output_dir``: ``config.yaml``, ``metrics.jsonl`` as the run goes, the checkpoints
    of the stages in ``rce/`` and ``grpo/``, at the end ``model/``, or ``adapter/`` and ``merged/``,
    and ``offline.png``.

    Args:
        config: The settings.
        show_progress: Whether progress is shown on standard error.

    Raises:
        InputError: The candidates, the model or a setting is unusable.
    """
    stay_offline()
    return _Run(config, prepare_offline(config), show_progress).train()


@dataclass(frozen=True)
class _Subject:
    """What is trained."""

    model: Any
    """With its adapter, where it has one."""
    tokenizer: Any
    pad: int
    """The token that fills up."""

    @classmethod
    def of(cls, loaded: "LoadedModel") -> "_Subject":
        """A model as it was loaded, and an adapter on it where one is to be trained."""
        model, tokenizer = loaded.model, loaded.tokenizer
        if loaded.lora is not None:
            from peft import get_peft_model

            model = get_peft_model(model, loaded.lora)
        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        return cls(model, tokenizer, pad)


@dataclass(frozen=True)
class _Queries:
    """Training and validation queries as tokens."""

    train: "list[EncodedGroup]"
    validation: "list[EncodedGroup]"

    @property
    def all(self) -> "list[EncodedGroup]":
        """Both, in this order."""
        return self.train + self.validation


class _Run:
    """One run: what its parts share, and the order of things."""

    def __init__(self, config: OfflineConfig, ready: Prepared, show_progress: bool) -> None:
        self._config = config
        self._ready = ready
        self._show_progress = show_progress
        self._root = Path(config.output_dir)
        self._files = OfflineFiles.under(self._root, config.lora_rank > 0)
        self._steps = {"rce": 0, "grpo": 0}
        self._seconds = 0.0

    def train(self) -> OfflineReport:
        """Loads, trains both stages, saves."""
        from transformers import set_seed
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the only one
        set_seed(self._config.seed)  # before the adapter gets its first weights
        self._write_config()
        loaded = load_model(self._config.for_loading, self._ready.hardware)
        keep_merged_start(loaded, self._config.model_path, self._root)
        subject = _Subject.of(loaded)
        queries = self._encoded(subject)
        before = None if self._ready.resume else self._assessed(subject, queries)
        self._imitate(subject, queries)
        best = self._optimize(subject, queries)
        after = self._assessed(subject, queries)
        self._save(subject)
        plot_offline(self._files.metrics, self._ready.train_advantages, self._files.plot)
        return self._report(queries, before, after, best)

    def _write_config(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self._config.to_dict(), sort_keys=False)
        self._files.config.write_text(text, encoding="utf-8")

    def _encoded(self, subject: _Subject) -> _Queries:
        from trainer.offline.batches import Encoder

        ready, config = self._ready, self._config
        encoder = Encoder(subject.tokenizer, config.max_seq_length, config.top_k)
        return _Queries(
            encoder.encode(ready.train, ready.train_advantages),
            encoder.encode(ready.validation, ready.validation_advantages),
        )

    def _assessed(self, subject: _Subject, queries: _Queries) -> Validation | None:
        from trainer.offline.validation import assess

        found = assess(subject.model, queries.validation, subject.pad, self._config.batch_size)
        if found is None:
            return None
        return Validation(
            queries=found.queries,
            regret=found.regret / found.queries,
            agreement=found.agreeing / found.queries,
        )

    def _imitate(self, subject: _Subject, queries: _Queries) -> None:
        """Stage 1."""
        from trainer.offline.stages import CrossEntropyStage, TauLine

        config, resume = self._config, self._ready.resume
        if config.rce_epochs == 0:
            return
        if resume is not None and resume.stage == "grpo":
            self._steps["rce"] = steps_before(newest_checkpoint(self._root / "rce"))
            return
        given = self._given(subject, "rce", config.rce_epochs, "eval_loss")
        stage = CrossEntropyStage(
            tau=TauLine(config.tau_start, config.tau_end),
            train_dataset=queries.train,
            eval_dataset=queries.validation or None,
            **given,
        )
        self._watched(stage, "rce")

    def _optimize(self, subject: _Subject, queries: _Queries) -> Path | None:
        """Stage 2; gives its best checkpoint."""
        from trainer.callbacks.control import AdaptiveKLCallback
        from trainer.offline.batches import with_stored
        from trainer.offline.stages import OfflineGRPOStage

        config = self._config
        if config.grpo_epochs == 0:
            return None
        known = with_stored(queries.all, self._stored(subject, queries.all))
        size = len(queries.train)
        given = self._given(subject, "grpo", config.grpo_epochs, f"eval_{config.best_by}")
        stage = OfflineGRPOStage(
            beta=config.kl_coeff,
            epsilon=config.epsilon,
            top_epochs=config.top_k_epochs,
            train_dataset=known[:size],
            eval_dataset=known[size:] or None,
            **given,
        )
        adaptive = AdaptiveKLCallback(stage, config.kl_control)
        stage.callback_handler.callbacks.insert(0, adaptive)  # all others see what it reports
        self._watched(stage, "grpo")
        best = stage.state.best_model_checkpoint
        return Path(best) if best else None

    def _stored(self, subject: _Subject, groups: "Sequence[EncodedGroup]") -> "list[Tensor]":
        """Log-probabilities under the model that stage 2 begins with, or began with."""
        from trainer.offline.stored import StoredLogps
        from trainer.offline.validation import logps_of

        stored = StoredLogps(self._root / "grpo" / "stored.safetensors")
        if self._ready.resume is not None and self._ready.resume.stage == "grpo":
            return stored.read(groups)
        found = logps_of(subject.model, groups, subject.pad, self._config.batch_size)
        stored.write(groups, found)
        return found

    def _given(self, subject: _Subject, name: str, epochs: int, best_by: str) -> dict[str, Any]:
        """What both stages give to their trainer."""
        from trainer.offline.arguments import stage_arguments

        arguments = stage_arguments(
            self._config,
            self._ready.hardware,
            self._root / name,
            epochs,
            best_by if self._ready.validation else None,
        )
        return {
            "pad": subject.pad,
            "model": subject.model,
            "processing_class": subject.tokenizer,
            "args": arguments,
        }

    def _watched(self, stage: "Stage", name: str) -> None:
        """Trains a stage, with its metrics and its progress."""
        from rich.console import Console
        from transformers import PrinterCallback

        from trainer.callbacks.control import OriginCallback
        from trainer.callbacks.metrics import MetricsCallback
        from trainer.callbacks.progress import LossProgressCallback
        from trainer.offline.stage_file import StageFile

        number, before = (1, 0) if name == "rce" else (2, self._steps["rce"])
        stage.remove_callback(PrinterCallback)
        stage.add_callback(OriginCallback(ModelOrigin.of(self._config)))
        file = StageFile(self._files.metrics, number, before)
        stage.add_callback(MetricsCallback(file, "loss", "eval_loss"))
        if self._show_progress:
            stage.add_callback(LossProgressCallback(Console(stderr=True), f"stage {number}"))
        resume = self._ready.resume
        checkpoint = str(resume.checkpoint) if resume and resume.stage == name else None
        began = time.monotonic()
        stage.train(resume_from_checkpoint=checkpoint)
        self._seconds += time.monotonic() - began
        self._steps[name] = stage.state.global_step

    def _save(self, subject: _Subject) -> None:
        """Writes the model; or the adapter, and the model with the adapter merged into it."""
        files, model, tokenizer = self._files, subject.model, subject.tokenizer
        trained = files.model or files.adapter
        model.save_pretrained(trained)
        tokenizer.save_pretrained(trained)
        if files.adapter is not None:
            record_base(files.adapter)
        if files.merged is None:
            return
        model.merge_and_unload().save_pretrained(files.merged)
        tokenizer.save_pretrained(files.merged)

    def _report(
        self,
        queries: _Queries,
        before: Validation | None,
        after: Validation | None,
        best: Path | None,
    ) -> OfflineReport:
        lines = [line for line in read_metrics(self._files.metrics) if "kl" in line]
        last = lines[-1] if lines else {}
        return OfflineReport(
            queries=len(queries.train),
            candidates=sum(len(group.candidates) for group in queries.train),
            advantages=spread_of([group.advantages for group in queries.train]),
            rce_steps=self._steps["rce"],
            grpo_steps=self._steps["grpo"],
            seconds=self._seconds,
            before=before,
            after=after,
            kl=last.get("kl"),
            kl_coeff=last.get("kl_coeff"),
            files=self._files.model_copy(update={"best_checkpoint": best}),
        )
