"""Our settings in TRL's words."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from shared.errors import ConfigError
from trainer.grpo.config import GRPOTrainingConfig
from trainer.models.loading import Hardware, is_mixed

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["grpo_arguments", "pick_optimizer"]

log = structlog.get_logger(__name__)


def grpo_arguments(config: GRPOTrainingConfig, hardware: Hardware) -> "GRPOConfig":
    """The ``GRPOConfig`` of a run.

    Generation and optimization are aligned: one generation batch is one optimizer step.

    Raises:
        ConfigError: TRL or Transformers refuse a value that we do not check ourselves.
    """
    import torch
    from trl import GRPOConfig

    try:
        arguments = GRPOConfig(
            **_learning(config, hardware), **_generation(config), **_housekeeping(config, hardware)
        )
    except ValueError as exc:
        raise ConfigError(f"the trainer refuses the settings: {exc}") from exc
    if hardware.device == "cpu":  # of several ranks "cpu:0", which no checkpoint can be loaded to
        arguments._setup_devices = torch.device("cpu")
    return arguments


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
        "num_iterations": config.num_iterations,
        "loss_type": config.loss_type,
        "epsilon": config.epsilon,
        "epsilon_high": _epsilon_high(config),
        "entropy_coef": config.entropy_coeff,
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
    }


def _epsilon_high(config: GRPOTrainingConfig) -> float | None:
    """How far the ratio may rise above 1; of ``cispo`` TRL wants the bound of the ratio itself."""
    if config.loss_type != "cispo":
        return config.epsilon_high
    return 1 + (config.epsilon if config.epsilon_high is None else config.epsilon_high)


def _generation(config: GRPOTrainingConfig) -> dict[str, Any]:
    if not config.use_vllm:
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": config.vllm_mode,
        "vllm_server_base_url": config.vllm_server_url if config.vllm_mode == "server" else None,
        "vllm_server_timeout": config.vllm_server_timeout_s,
        "vllm_group_port": config.vllm_group_port,
        "vllm_tensor_parallel_size": config.vllm_tensor_parallel_size,
        "vllm_gpu_memory_utilization": config.gpu_memory_utilization,
        "vllm_max_model_length": config.max_seq_length,
    }


def _housekeeping(config: GRPOTrainingConfig, hardware: Hardware) -> dict[str, Any]:
    return {
        "output_dir": config.output_dir,
        "bf16": is_mixed(config, hardware),
        "use_cpu": hardware.device == "cpu",
        "dataloader_pin_memory": hardware.device == "cuda",
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.logging_steps,
        "logging_first_step": True,
        "save_steps": config.save_steps,
        "save_total_limit": config.save_total_limit,
        "report_to": config.report_to,
        "run_name": Path(config.output_dir).name,
        "project": "greenfork",
        "trackio_static_space_id": False,  # nothing is sent anywhere but to the local tracker
        "ddp_timeout": _rank_timeout_s(config),
        "ddp_find_unused_parameters": False,
        "disable_tqdm": True,
    }


def _rank_timeout_s(config: GRPOTrainingConfig) -> int:
    """Seconds that ranks wait for one that pauses because its rewards do not come."""
    asked = (config.reward_retries + 2) * (config.reward_timeout_s + 70)
    return 1800 + int(config.reward_outage_s + asked)


def pick_optimizer(name: str, hardware: Hardware) -> str:
    """The optimizer; 8-bit ones need a GPU and ``bitsandbytes``, and are replaced without."""
    is_8bit = "8bit" in name
    if not is_8bit or (hardware.device == "cuda" and importlib.util.find_spec("bitsandbytes")):
        return name
    reason = "needs a CUDA GPU" if hardware.device == "cpu" else "needs bitsandbytes"
    log.warning("falling back to adamw_torch", optim=name, reason=reason)
    return "adamw_torch"
