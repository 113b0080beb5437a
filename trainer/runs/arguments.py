"""Translates our settings into those of TRL and Transformers."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from shared.errors import ConfigError
from trainer.environment import PROJECT
from trainer.models.loading import Hardware, is_mixed
from trainer.settings import StepSettings

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import GRPOConfig, SFTConfig

    from trainer.grpo.config import GRPOTrainingConfig
    from trainer.offline.config import OfflineConfig
    from trainer.sft.config import SFTTrainingConfig

__all__ = ["grpo_arguments", "pick_optimizer", "sft_arguments", "stage_arguments"]

_Arguments = TypeVar("_Arguments")

_SHARED = {
    *("output_dir", "learning_rate", "gradient_accumulation_steps", "max_grad_norm"),
    *("gradient_checkpointing", "seed", "logging_steps", "report_to"),
}
_BY_STEPS = {
    *("num_train_epochs", "warmup_steps", "lr_scheduler_type", "save_steps", "save_total_limit"),
}
_OBJECTIVE = {
    *("num_generations", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
    *("num_iterations", "loss_type", "epsilon", "scale_rewards"),
}
"""Settings that TRL or Transformers call by the same name."""

log = structlog.get_logger(__name__)


def grpo_arguments(config: "GRPOTrainingConfig", hardware: Hardware) -> "GRPOConfig":
    """The ``GRPOConfig`` of a run; one generation batch is one optimizer step.

    Raises:
        ConfigError: TRL or Transformers reject a value that we do not check.
    """
    import torch
    from trl import GRPOConfig

    arguments = _accepted(
        GRPOConfig,
        **_shared(config, hardware),
        **_by_steps(config),
        **_objective(config),
        **_generation(config),
        trackio_static_space_id=False,  # use only the local tracker
        ddp_timeout=_rank_timeout_s(config),
        ddp_find_unused_parameters=False,
    )
    if (
        hardware.device == "cpu"
    ):  # with several ranks it is "cpu:0", to which no checkpoint can be loaded
        arguments._setup_devices = torch.device("cpu")
    return arguments


def sft_arguments(config: "SFTTrainingConfig", hardware: Hardware) -> "SFTConfig":
    """The ``SFTConfig`` of a run on rows that are already tokenized.

    Raises:
        ConfigError: As :func:`grpo_arguments`.
    """
    from trl import SFTConfig

    return _accepted(
        SFTConfig,
        **_shared(config, hardware),
        **_by_steps(config),
        adam_beta2=config.adam_beta2,
        weight_decay=config.weight_decay,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def stage_arguments(
    config: "OfflineConfig", hardware: Hardware, folder: Path, epochs: int, best_by: str | None
) -> "TrainingArguments":
    """The ``TrainingArguments`` of a stage: warm-up, then the schedule; a checkpoint per epoch.

    Args:
        config: The settings of the run.
        hardware: The hardware to compute on.
        folder: Folder for the checkpoints.
        epochs: Passes over the queries.
        best_by: The checkpoint with the smallest value of this metric on the validation queries is
            the best; None without validation.

    Raises:
        ConfigError: As :func:`grpo_arguments`.
    """
    from transformers import TrainingArguments

    return _accepted(
        TrainingArguments,
        **_shared(config, hardware)
        | {"output_dir": str(folder), "learning_rate": config.peak_rate},
        num_train_epochs=epochs,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=config.warmup_share,
        per_device_eval_batch_size=config.batch_size,
        remove_unused_columns=False,
        save_strategy="epoch",
        eval_strategy="no" if best_by is None else "epoch",
        metric_for_best_model=best_by,
        greater_is_better=None if best_by is None else False,
    )


def pick_optimizer(name: str, hardware: Hardware) -> str:
    """The optimizer; 8-bit ones are replaced if there is no GPU or ``bitsandbytes``."""
    is_8bit = "8bit" in name
    if not is_8bit or (hardware.device == "cuda" and importlib.util.find_spec("bitsandbytes")):
        return name
    reason = "needs a CUDA GPU" if hardware.device == "cpu" else "needs bitsandbytes"
    log.warning("falling back to adamw_torch", optim=name, reason=reason)
    return "adamw_torch"


def _accepted(kind: Callable[..., _Arguments], **values: Any) -> _Arguments:  # noqa: ANN401
    try:
        return kind(**values)
    except ValueError as exc:
        raise ConfigError(f"the trainer rejects the settings: {exc}") from exc


def _shared(
    config: "GRPOTrainingConfig | SFTTrainingConfig | OfflineConfig", hardware: Hardware
) -> dict[str, Any]:
    """The arguments of every training."""
    return config.model_dump(include=_SHARED) | {
        "per_device_train_batch_size": config.batch_size,
        "run_name": config.run_name or Path(config.output_dir).name,
        "project": config.wandb_project or PROJECT,
        "optim": pick_optimizer(config.optim, hardware),
        "bf16": is_mixed(config, hardware),
        "use_cpu": hardware.device == "cpu",
        "dataloader_pin_memory": hardware.device == "cuda",
        "logging_first_step": True,
        "disable_tqdm": True,
    }


def _by_steps(config: StepSettings) -> dict[str, Any]:
    """The arguments of trainings that are measured in steps."""
    return config.model_dump(include=_BY_STEPS) | {"max_steps": config.max_steps or -1}


def _objective(config: "GRPOTrainingConfig") -> dict[str, Any]:
    return config.model_dump(include=_OBJECTIVE) | {
        "max_completion_length": config.max_new_tokens,
        "epsilon_high": _epsilon_high(config),
        "entropy_coef": config.entropy_coeff,
        "beta": config.kl_coeff,
        "reward_weights": [config.format_weight, config.tsc_weight],
    }


def _epsilon_high(config: "GRPOTrainingConfig") -> float | None:
    """How far the ratio may rise above 1; for ``cispo``, TRL expects the bound itself."""
    if config.loss_type != "cispo":
        return config.epsilon_high
    return 1 + (config.epsilon if config.epsilon_high is None else config.epsilon_high)


def _generation(config: "GRPOTrainingConfig") -> dict[str, Any]:
    if not config.use_vllm:
        return {}
    return {
        "use_vllm": True,
        "generation_kwargs": {"stop": list(config.stop)} if config.stop else None,
        "vllm_mode": config.vllm_mode,
        "vllm_server_base_url": config.vllm_server_url if config.vllm_mode == "server" else None,
        "vllm_server_timeout": config.vllm_server_timeout_s,
        "vllm_group_port": config.vllm_group_port,
        "vllm_tensor_parallel_size": config.vllm_tensor_parallel_size,
        "vllm_gpu_memory_utilization": config.gpu_memory_utilization,
        "vllm_max_model_length": config.max_seq_length,
    }


def _rank_timeout_s(config: "GRPOTrainingConfig") -> int:
    """Seconds that ranks wait for one that is waiting for its rewards."""
    asked = (config.reward_retries + 2) * (config.reward_timeout_s + 70)
    return 1800 + int(config.reward_outage_s + asked)
