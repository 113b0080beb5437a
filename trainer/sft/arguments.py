"""The settings of supervised training in TRL's words."""

from typing import TYPE_CHECKING

from shared.errors import ConfigError
from trainer.grpo.arguments import pick_optimizer
from trainer.models.loading import Hardware, is_mixed
from trainer.sft.config import SFTTrainingConfig

if TYPE_CHECKING:
    from trl import SFTConfig

__all__ = ["sft_arguments"]


def sft_arguments(config: SFTTrainingConfig, hardware: Hardware) -> "SFTConfig":
    """The ``SFTConfig`` of a run on tokens that are ready.

    Raises:
        ConfigError: TRL or Transformers refuse a value that we do not check ourselves.
    """
    from trl import SFTConfig

    try:
        return SFTConfig(
            output_dir=config.output_dir,
            learning_rate=config.learning_rate,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            num_train_epochs=config.num_train_epochs,
            max_steps=config.max_steps or -1,
            warmup_steps=config.warmup_steps,
            lr_scheduler_type=config.lr_scheduler_type,
            max_grad_norm=config.max_grad_norm,
            adam_beta2=config.adam_beta2,
            weight_decay=config.weight_decay,
            optim=pick_optimizer(config.optim, hardware),
            gradient_checkpointing=config.gradient_checkpointing,
            seed=config.seed,
            bf16=is_mixed(config, hardware),
            use_cpu=hardware.device == "cpu",
            dataloader_pin_memory=hardware.device == "cuda",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            logging_steps=config.logging_steps,
            logging_first_step=True,
            save_steps=config.save_steps,
            save_total_limit=config.save_total_limit,
            report_to=config.report_to,
            disable_tqdm=True,
        )
    except ValueError as exc:
        raise ConfigError(f"the trainer refuses the settings: {exc}") from exc
