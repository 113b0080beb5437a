"""The settings of a GRPO run. Does not know TRL; :mod:`trainer.runs.arguments` translates."""

from collections.abc import Mapping
from math import gcd
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from shared.domains.reward_names import AnyReward, AnyTerm
from shared.rewards import FollowUp, RewardSpec
from trainer.callbacks.health import HealthBounds
from trainer.curriculum.schedule import DEFAULT_SCHEDULE, CurriculumPhase, check_schedule
from trainer.settings import KLSettings, StepSettings, load_settings

__all__ = ["GRPOTrainingConfig", "load_config"]


class GRPOTrainingConfig(StepSettings, KLSettings):
    """Every setting of a GRPO run. Frozen; unknown names are refused.

    >>> GRPOTrainingConfig(dataset_path="data", reward_url="http://localhost:8000").learning_rate
    1e-05
    """

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model": ("model_path", "base_path", "max_seq_length", "load_in_4bit"),
        "lora": ("lora_rank", "lora_alpha", "lora_targets"),
        "reward": (
            *("reward_url", "reward_api_key", "reward_name", "reward_terms", "reward_seeds"),
            *("follow_up", "horizon_s", "invalid_reward", "invalid_as_worst", "extend_seconds"),
            *("reward_timeout_s", "reward_retries", "reward_outage_s", "reward_look_ahead"),
            *("failed_share_limit", "failed_window", "format_weight", "tsc_weight"),
        ),
        "optimizer": (
            *("optim", "learning_rate", "lr_scheduler_type", "warmup_steps", "max_grad_norm"),
            *("batch_size", "gradient_accumulation_steps", "gradient_checkpointing"),
        ),
        "kl": (
            *("kl_coeff", "adaptive_kl", "kl_low", "kl_high", "kl_adapt_factor"),
            *("kl_coeff_min", "kl_coeff_max"),
        ),
        "vllm": (
            *("use_vllm", "gpu_memory_utilization", "vllm_mode", "vllm_server_url"),
            *("vllm_server_timeout_s", "vllm_group_port", "vllm_tensor_parallel_size"),
        ),
        "health": (
            *("health_window", "health_invalid_share", "health_failed_share", "health_kl"),
            *("health_yes_share",),
        ),
    }

    earlier: ClassVar[Mapping[str, str]] = {
        "base_model": "model_path",
        "data_root": "dataset_path",
        "beta": "kl_coeff",
        "num_epochs": "num_train_epochs",
        "use_gradient_checkpointing": "gradient_checkpointing",
    }
    dropped: ClassVar[Mapping[str, str]] = {
        "max_workers": "nothing: the service has the workers (greenfork serve --workers)",
    }

    prompt_examples: bool = False
    """Inserts two answered examples before each prompt's last message, so that a model without SFT
    finds the answer format often enough to learn from it."""
    output_dir: str = Field(default="runs/grpo", min_length=1)
    """Output folder for checkpoints, the model or adapter, metrics and the plot."""

    reward_url: str = "http://127.0.0.1:8000"
    """URL of the reward service."""
    reward_api_key: str | None = Field(default=None, repr=False, exclude=True)
    """API key of the service; null sends none. Never written to ``config.yaml``."""
    reward_name: AnyReward = "queue_gain"
    """Reward of the service to train on."""
    reward_terms: dict[AnyTerm, FiniteFloat] | None = None
    """With ``reward_name: sum`` only: the rewards to add up, with their weights."""
    follow_up: FollowUp = "program"
    """What controls the signal after the decision."""
    reward_seeds: tuple[int, ...] | None = None
    """Rolls each decision out once per seed and averages the rewards; null continues with the
    simulation's own random state."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Rollout length, simulated seconds."""
    invalid_reward: float = Field(default=-1.0, ge=-100, le=0)
    """Traffic reward of a completion without a legal decision."""
    invalid_as_worst: bool = False
    """Gives such a completion the worst valid reward of its group instead, or of the batch if its
    group has none: for rewards without a lower bound, such as ``queue``."""
    reward_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Time limit of the service for one generation batch, seconds; unfinished items have failed."""
    reward_retries: int = Field(default=3, ge=0, le=20)
    """Retries after retryable errors."""
    reward_outage_s: float = Field(default=300.0, ge=0, le=86_400)
    """Seconds that the training waits, retrying, while the service does not answer; then it stops
    with a checkpoint to resume from."""
    reward_look_ahead: bool = False
    """Simulates both answers to the next batch's *extend* prompts while the model works on the
    current batch. Helps if rollouts take longer than generation; some rollouts are wasted."""
    failed_share_limit: float = Field(default=0.5, ge=0, lt=1)
    """The run stops if more than this share of the last ``failed_window`` items failed."""
    failed_window: int = Field(default=64, ge=1)
    """The number of items over which failures are counted."""
    extend_seconds: int = Field(default=5, ge=1, le=3600)
    """Seconds of green that a *yes* adds; must match the dataset's prompts."""

    format_weight: float = Field(default=1.0, ge=0)
    """Weight of the format reward."""
    tsc_weight: float = Field(default=1.0, ge=0)
    """Weight of the traffic reward."""

    num_generations: int = Field(default=4, ge=2)
    """Completions per prompt: the group within which rewards are compared."""
    temperature: float = Field(default=0.9, gt=0, le=2)
    """Sampling temperature."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus sampling: share of the probability mass to sample from."""
    top_k: int = Field(default=0, ge=0)
    """Number of likeliest tokens to sample from; 0 is all."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Least probability of a token that is sampled, as a share of the likeliest one's; null sets no
    bound."""
    stop: tuple[str, ...] = ()
    """With ``use_vllm``: texts that end an answer."""
    repetition_penalty: float = Field(default=1.0, ge=1, le=2)
    """Penalty on repeated tokens; 1 is none."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    """Peak learning rate."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo"] = "dapo"
    """Loss, by its name in TRL: how the sum over tokens is normalised and clipped."""
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    """Lower clipping bound: how far a token's probability ratio may fall below 1. ``cispo`` and
    ``sapo`` do not clip there."""
    epsilon_high: float | None = Field(default=None, gt=0)
    """Upper clipping bound: how far the ratio may rise above 1; null uses ``epsilon``. With
    ``loss_type: cispo``, TRL's setting of this name is the bound itself, so 4 here is 5 there."""
    num_iterations: int = Field(default=1, ge=1)
    """Optimizer steps per batch of completions. The ratio differs from 1 only if there is more than
    one. A run never stops between them."""
    entropy_coeff: float = Field(default=0.0, ge=0, lt=1)
    """Weight of a bonus for token entropy; 0 disables it. High values destroy the answer format."""
    batch_size: int = Field(default=2, ge=1)
    """Completions per forward pass."""
    gradient_accumulation_steps: int = Field(default=4, ge=1)
    """Forward passes per optimizer step; this times ``batch_size`` must be a multiple of
    ``num_generations``."""
    num_train_epochs: float = Field(default=3, gt=0)
    """Epochs over the dataset; ``max_steps`` takes precedence."""
    kl_coeff: float = Field(default=0.1, ge=0)
    """Weight of the KL term against the frozen initial model; 0 disables it."""
    adaptive_kl: bool = False
    """Adapts ``kl_coeff`` during the run: up if the logged KL is above ``kl_high``, down if it is
    below ``kl_low``."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Advantages are divided by the standard deviation of their group or batch, or not at all."""
    shuffle_rewards: bool = False
    """Control experiment: shuffles the traffic rewards within each group. If a run still improves,
    it does not learn from the rewards."""
    curriculum: bool = False
    """Fills each batch with the same number of samples from every scenario, easy ones first; see
    ``curriculum_schedule``."""
    curriculum_schedule: tuple[CurriculumPhase, ...] = DEFAULT_SCHEDULE
    """With ``curriculum``: phases with the weights of ``easy``, ``medium`` and ``hard`` samples,
    each ``until`` a share of the steps is done."""

    vllm_mode: Literal["colocate", "server"] = "colocate"
    """With ``use_vllm``: generate on the training GPUs, or on a vLLM server with its own."""
    vllm_server_url: str = Field(default="http://127.0.0.1:8001", min_length=1)
    """URL of the vLLM server, with ``vllm_mode: server``."""
    vllm_server_timeout_s: float = Field(default=240.0, gt=0, le=3600)
    """Seconds to wait for the vLLM server at startup."""
    vllm_group_port: int = Field(default=51216, ge=1, le=65_535)
    """Port for sending updated weights to the vLLM server."""
    vllm_tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs per model (tensor parallelism), with ``vllm_mode: colocate``."""

    health_window: int = Field(default=20, ge=1)
    """Steps over which the health of a run is judged."""
    health_invalid_share: float = Field(default=0.3, ge=0, le=1)
    """Warns if the share of invalid answers is above this."""
    health_failed_share: float = Field(default=0.1, ge=0, le=1)
    """Warns if the share of failed rewards is above this."""
    health_kl: float = Field(default=1.0, gt=0)
    """Warns if the KL to the initial model is above this."""
    health_yes_share: float = Field(default=0.03, ge=0, lt=0.5)
    """Warns if the share of *yes* is below this, or above 1 minus this."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        completions = self.batch_size * self.gradient_accumulation_steps
        if completions % self.num_generations:
            every = self.num_generations // gcd(
                self.num_generations, self.gradient_accumulation_steps
            )
            below = self.batch_size // every * every
            fitting = [str(size) for size in (below, below + every) if size]
            raise ValueError(
                f"batch_size x gradient_accumulation_steps ({self.batch_size} x "
                f"{self.gradient_accumulation_steps} = {completions}) must be a multiple of "
                f"num_generations ({self.num_generations}); a batch_size of {' or '.join(fitting)}"
                " is"
            )
        return self

    @model_validator(mode="after")
    def _a_reward_of_the_service(self) -> Self:
        if (self.reward_name == "sum") != (self.reward_terms is not None):
            raise ValueError("reward_terms and reward_name: sum need each other")
        try:
            _ = self.reward
        except ValidationError as exc:
            said = [error["msg"].removeprefix("Value error, ") for error in exc.errors()]
            raise ValueError("reward_" + "; ".join(said)) from exc
        return self

    @model_validator(mode="after")
    def _settings_that_fit_together(self) -> Self:
        if self.format_weight == 0 and self.tsc_weight == 0:
            raise ValueError("format_weight and tsc_weight are both 0: there is nothing to learn")
        if self.prompt_examples and self.prompt_form == "words":
            raise ValueError("prompt_examples are in JSON; set prompt_form: json")
        if self.save_steps % self.num_iterations:
            raise ValueError(
                f"save_steps ({self.save_steps}) must be a multiple of num_iterations "
                f"({self.num_iterations}): checkpoints do not contain completions"
            )
        if self.curriculum and self.num_iterations > 1:
            raise ValueError("curriculum counts optimizer steps: it needs num_iterations: 1")
        if self.use_vllm and self.vllm_mode == "server" and self.backend != "transformers":
            raise ValueError(
                "vllm_mode: server needs backend: transformers; Unsloth generates with its own "
                "vLLM, on the training GPU"
            )
        if self.stop and not self.use_vllm:
            raise ValueError("stop needs use_vllm: true; elsewhere the end-of-text token ends it")
        check_schedule(self.curriculum_schedule)
        return self

    @model_validator(mode="after")
    def _bounds_of_the_kl(self) -> Self:
        control = self.kl_control
        if self.adaptive_kl:
            control.check_start(self.kl_coeff)
        return self

    @property
    def reward(self) -> RewardSpec:
        """The reward to request from the service."""
        return RewardSpec(
            name=self.reward_name,
            terms=self.reward_terms,
            horizon_s=self.horizon_s,
            invalid_reward=self.invalid_reward,
            follow_up=self.follow_up,
            seeds=self.reward_seeds,
        )

    @property
    def health(self) -> HealthBounds:
        """The thresholds of the health warnings."""
        return HealthBounds(
            self.health_window,
            self.health_invalid_share,
            self.health_failed_share,
            self.health_kl,
            self.health_yes_share,
        )


def load_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> GRPOTrainingConfig:
    """The settings of a run: ``overrides`` over the file over the defaults.

    Args:
        path: A YAML file, or the name of a preset (``cpu-demo``, ``gpu``, …); None uses defaults
            only.
        overrides: Settings from the command line; None means not set.

    Raises:
        ConfigError: The file or a value is wrong; for an unknown name, the message suggests the
            closest one.
    """
    return load_settings(GRPOTrainingConfig, path, overrides)
