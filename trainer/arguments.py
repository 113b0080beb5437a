"""Our settings in TRL's words."""

import importlib.util
from typing import TYPE_CHECKING, Any

import structlog

from shared.errors import ConfigError
from trainer.config import GRPOTrainingConfig
from trainer.models import Hardware

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["check_report_to", "grpo_arguments", "pick_optimizer"]

log = structlog.get_logger(__name__)


def grpo_arguments(config: GRPOTrainingConfig, hardware: Hardware) -> "GRPOConfig":
    """The ``GRPOConfig`` of a run.

    Generation and optimization are aligned: one generation batch is one optimizer step.

    Raises:
        ConfigError: TRL or Transformers refuse a value that we do not check ourselves.
    """
    from trl import GRPOConfig

    try:
        return GRPOConfig(**_learning(config, hardware), **_housekeeping(config, hardware))
    except ValueError as exc:
        raise ConfigError(f"the trainer refuses the settings: {exc}") from exc


def check_report_to(config: GRPOTrainingConfig) -> None:
    """Checks that what metrics are to be sent to is installed.

    Raises:
        ConfigError: It is not.
    """
    name = config.report_to
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ConfigError(f"report_to: {name} needs a package; run: pip install {name}")


def _learning(config: GRPOTrainingConfig, hardware: Hardware) -> dict[str, Any]:
    return {
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation_steps,
        "num_generations": config.num_generations,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "repetition_penalty": config.repetition_penalty,
        "beta": config.kl_coeff,
        "scale_rewards": config.scale_rewards,
        "reward_weights": [config.format_weight, config.tsc_weight],
        "num_train_epochs": config.num_train_epochs,
        "max_steps": config.max_steps or -1,
        "warmup_steps": config.warmup_steps,
        "lr_scheduler_type": config.lr_scheduler_type,
        "max_grad_norm": config.max_grad_norm,
        "optim": pick_optimizer(config.optim, hardware),
        "seed": config.seed,
        "use_vllm": config.use_vllm,
        "vllm_gpu_memory_utilization": config.gpu_memory_utilization,
        "vllm_max_model_length": config.max_seq_length if config.use_vllm else None,
    }


def _housekeeping(config: GRPOTrainingConfig, hardware: Hardware) -> dict[str, Any]:
    return {
        "output_dir": config.output_dir,
        "bf16": hardware.is_bf16 and hardware.device == "cuda",
        "use_cpu": hardware.device == "cpu",
        "dataloader_pin_memory": hardware.device == "cuda",
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.logging_steps,
        "logging_first_step": True,
        "save_steps": config.save_steps,
        "save_total_limit": config.save_total_limit,
        "report_to": config.report_to,
        "disable_tqdm": True,
    }


def pick_optimizer(name: str, hardware: Hardware) -> str:
    """The optimizer; 8-bit ones need a GPU and ``bitsandbytes``, and are replaced without."""
    is_8bit = "8bit" in name
    if not is_8bit or (hardware.device == "cuda" and importlib.util.find_spec("bitsandbytes")):
        return name
    reason = "needs a CUDA GPU" if hardware.device == "cpu" else "needs bitsandbytes"
    log.warning("falling back to adamw_torch", optim=name, reason=reason)
    return "adamw_torch"
