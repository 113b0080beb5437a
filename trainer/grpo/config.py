"""The settings of a GRPO run. Does not know TRL; :mod:`trainer.runs.arguments` translates."""

from collections.abc import Mapping
from math import gcd
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from shared.rewards import FollowUp, RewardName, RewardSpec, TermName
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

    prompt_examples: bool = False
    """Puts two answered examples before each prompt's last message: a model that was never taught
    the form of the answer then finds it often enough to learn from."""
    output_dir: str = Field(default="runs/grpo", min_length=1)
    """Where checkpoints, the model or the adapter, metrics and the plot are written."""

    reward_url: str = "http://127.0.0.1:8000"
    """The reward service."""
    reward_api_key: str | None = Field(default=None, repr=False, exclude=True)
    """The service's key; null sends none. Never written to ``config.yaml``."""
    reward_name: RewardName = "queue_gain"
    """Which reward of the service trains the model."""
    reward_terms: dict[TermName, FiniteFloat] | None = None
    """With ``reward_name: sum``, and only there: the rewards that are added up, and their
    weights."""
    follow_up: FollowUp = "program"
    """Who runs the signal after the decision."""
    reward_seeds: tuple[int, ...] | None = None
    """Rolls every decision out once with each of these seeds, and takes the mean; null goes on as
    the simulation would have."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Length of a rollout, seconds of simulated time."""
    invalid_reward: float = Field(default=-1.0, ge=-100, le=0)
    """The traffic reward of a completion that no legal decision can be read from."""
    invalid_as_worst: bool = False
    """Gives such a completion the reward of the worst valid one of its group instead, or of the
    batch where its group has none: for rewards without a lower bound, such as ``queue``."""
    reward_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Seconds the service may take for one generation batch; what is not done by then failed."""
    reward_retries: int = Field(default=3, ge=0, le=20)
    """How often what failed with a retryable error is sent again."""
    reward_outage_s: float = Field(default=300.0, ge=0, le=86_400)
    """Seconds that the training pauses, asking again and again, while nothing answers at
    ``reward_url``; then it stops, with a checkpoint to go on from."""
    reward_look_ahead: bool = False
    """Has the service simulate both answers to the *extend* prompts of the next batch while the
    model is busy with this one. Helps where rollouts take longer than answers; some are for
    decisions that nobody makes."""
    failed_share_limit: float = Field(default=0.5, ge=0, lt=1)
    """The run stops when more than this share of the last ``failed_window`` items failed."""
    failed_window: int = Field(default=64, ge=1)
    """The number of items over which failures are counted."""
    extend_seconds: int = Field(default=5, ge=1, le=3600)
    """Seconds of green a *yes* adds; must be what the dataset's prompts say."""

    format_weight: float = Field(default=1.0, ge=0)
    """Weight of the format reward."""
    tsc_weight: float = Field(default=1.0, ge=0)
    """Weight of the traffic reward."""

    num_generations: int = Field(default=4, ge=2)
    """Completions per prompt: the group that rewards are compared in."""
    temperature: float = Field(default=0.9, gt=0, le=2)
    """Sampling temperature."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Share of probability mass sampled from."""
    repetition_penalty: float = Field(default=1.0, ge=1, le=2)
    """Penalty on repeated tokens; 1 is none."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    """Peak learning rate."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo"] = "dapo"
    """TRL's name of the loss: what the sum over tokens is divided by, and how it is clipped."""
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    """How far the probability ratio of a token may fall below 1 before it is clipped; ``cispo`` and
    ``sapo`` do not clip it there."""
    epsilon_high: float | None = Field(default=None, gt=0)
    """How far it may rise above 1; null is the same as ``epsilon``. TRL's own setting of this name
    is the bound itself with ``loss_type: cispo``, and is given 1 more there: 4 is its 5."""
    num_iterations: int = Field(default=1, ge=1)
    """Optimizer steps on the same completions. The ratio leaves 1 only where there is more than
    one. A run that stops does so after the last of them."""
    entropy_coeff: float = Field(default=0.0, ge=0, lt=1)
    """Weight of a bonus for the entropy of the tokens; 0 gives none. Much of it destroys the form
    of the answer."""
    batch_size: int = Field(default=2, ge=1)
    """Completions per forward pass."""
    gradient_accumulation_steps: int = Field(default=4, ge=1)
    """Forward passes an optimizer step; times ``batch_size`` it is a multiple of
    ``num_generations``."""
    num_train_epochs: float = Field(default=3, gt=0)
    """Passes over the dataset; ``max_steps`` overrides it."""
    kl_coeff: float = Field(default=0.1, ge=0)
    """Weight of the KL term against the frozen model the run started from; 0 leaves it out."""
    adaptive_kl: bool = False
    """Changes ``kl_coeff`` as the run goes: up where the logged KL is above ``kl_high``, down where
    it is below ``kl_low``."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Over what the standard deviation is taken that advantages are divided by."""
    shuffle_rewards: bool = False
    """Control experiment: deals the traffic rewards of each group out at random among its
    completions. A run that still gets better does not learn it from the rewards."""
    curriculum: bool = False
    """Fills each batch with equally many samples of every scenario, easy ones first; see
    ``curriculum_schedule``."""
    curriculum_schedule: tuple[CurriculumPhase, ...] = DEFAULT_SCHEDULE
    """With ``curriculum``: the weights of ``easy``, ``medium`` and ``hard`` samples ``until`` a
    share of the steps is over, phase by phase."""

    vllm_mode: Literal["colocate", "server"] = "colocate"
    """With ``use_vllm``: on the GPUs that train, or by a vLLM server on others."""
    vllm_server_url: str = Field(default="http://127.0.0.1:8001", min_length=1)
    """The vLLM server, with ``vllm_mode: server``."""
    vllm_server_timeout_s: float = Field(default=240.0, gt=0, le=3600)
    """Seconds to wait for that server at the start."""
    vllm_group_port: int = Field(default=51216, ge=1, le=65_535)
    """The port over which new weights go to that server."""
    vllm_tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share a model, with ``vllm_mode: colocate``."""

    health_window: int = Field(default=20, ge=1)
    """Steps over which it is judged whether a run goes wrong."""
    health_invalid_share: float = Field(default=0.3, ge=0, le=1)
    """More invalid answers than this share give a hint."""
    health_failed_share: float = Field(default=0.1, ge=0, le=1)
    """More failed rewards than this share give a hint."""
    health_kl: float = Field(default=1.0, gt=0)
    """A greater KL to the start than this gives a hint."""
    health_yes_share: float = Field(default=0.03, ge=0, lt=0.5)
    """A share of *yes* below this, or above 1 minus this, gives a hint."""

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
            raise ValueError("reward_terms belong to reward_name: sum, which needs them")
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
                f"({self.num_iterations}): between them the completions would be lost"
            )
        if self.curriculum and self.num_iterations > 1:
            raise ValueError("curriculum counts optimizer steps: it needs num_iterations: 1")
        if self.use_vllm and self.vllm_mode == "server" and self.backend != "transformers":
            raise ValueError(
                "vllm_mode: server needs backend: transformers; Unsloth generates with a vLLM of "
                "its own, on the GPU that trains"
            )
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
        """The reward as the service is asked for it."""
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
        """What counts as going wrong."""
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
        path: A YAML file, or the name of a preset (``cpu-demo``, ``gpu``, …); None for defaults
            only.
        overrides: What the command line set. Entries that are None were not set.

    Raises:
        ConfigError: The file or a value is wrong; a name that does not exist is answered with the
            nearest one that does.
    """
    return load_settings(GRPOTrainingConfig, path, overrides)
