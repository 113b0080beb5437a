"""The settings of a stage in the Transformers library's words."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ConfigError
from trainer.grpo.arguments import pick_optimizer
from trainer.models.loading import Hardware, is_mixed
from trainer.offline.settings import OfflineConfig

if TYPE_CHECKING:
    from transformers import TrainingArguments

__all__ = ["stage_arguments"]


def stage_arguments(
    config: OfflineConfig, hardware: Hardware, folder: Path, epochs: int, best_by: str | None
) -> "TrainingArguments":
    """The ``TrainingArguments`` of one stage: a cosine after a warm-up, a checkpoint an epoch.

    Args:
        config: The settings of the run.
        hardware: What it computes on.
        folder: Where the checkpoints go.
        epochs: Passes over the queries.
        best_by: The metric whose smallest value on the validation queries makes the best
            checkpoint; None where nothing is validated.

    Raises:
        ConfigError: Transformers refuses a value that we do not check ourselves.
    """
    from transformers import TrainingArguments

    try:
        return TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=epochs,
            learning_rate=config.peak_rate,
            lr_scheduler_type="cosine",
            warmup_steps=config.warmup_share,
            max_grad_norm=config.max_grad_norm,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            optim=pick_optimizer(config.optim, hardware),
            gradient_checkpointing=config.gradient_checkpointing,
            seed=config.seed,
            bf16=is_mixed(config, hardware),
            use_cpu=hardware.device == "cpu",
            dataloader_pin_memory=hardware.device == "cuda",
            remove_unused_columns=False,
            save_strategy="epoch",
            eval_strategy="no" if best_by is None else "epoch",
            metric_for_best_model=best_by,
            greater_is_better=None if best_by is None else False,
            logging_steps=config.logging_steps,
            logging_first_step=True,
            report_to=config.report_to,
            disable_tqdm=True,
        )
    except ValueError as exc:
        raise ConfigError(f"the trainer refuses the settings: {exc}") from exc
