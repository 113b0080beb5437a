"""The settings of offline post-training."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.errors import ConfigError
from trainer.callbacks.kl_control import KLControl
from trainer.offline.candidates import MetricsReward
from trainer.offline.levels import LevelWeights
from trainer.settings import KLSettings
from trainer.sft.config import SFTTrainingConfig

__all__ = ["OfflineConfig", "rate_of_start"]

_SFT_RATE = 1e-4
_TENTH = 0.1

_EARLIER = {
    "base_model": "model_path",
    "sft_ckpt": "model_path",
    "rce_temperature_start": "tau_start",
    "rce_temperature_end": "tau_end",
    "rce_lr_ratio": "rate_share",
    "clip_epsilon": "epsilon",
    "kl_beta": "kl_coeff",
    "kl_target_max": "kl_high",
    "kl_target_min": "kl_low",
    "gradient_clip_norm": "max_grad_norm",
    "warmup_ratio": "warmup_share",
    "lr_scheduler": "lr_scheduler_type",
}


class OfflineConfig(KLSettings):
    """Every setting of ``greenfork train offline``. Frozen; unknown names are refused.

    >>> OfflineConfig(beam_data="plans.jsonl").grpo_epochs
    3
    """

    earlier: ClassVar[Mapping[str, str]] = _EARLIER

    model_path: str = Field(default="smollm2-135m", min_length=1)
    """The SFT checkpoint to start from: a folder with a model or an adapter, or ``smollm2-135m``.
    Models are never downloaded."""
    beam_data: str = ""
    """Scored candidates: a JSON, JSONL or Parquet file, a dataset folder with outcomes, or a folder
    of these. Required."""
    validation_data: str | None = None
    """Candidates for validation, in the same formats; null holds out ``validation_share``."""
    validation_share: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the queries in ``beam_data`` to hold out; 0 disables validation."""
    token_ids: bool = False
    """Says that whole numbers in ``id_list`` are token ids of the model that is trained. Without it
    they are refused: in most files they are places in a pool, which a model has no use for."""
    max_samples: int | None = Field(default=None, ge=2)
    """Maximum number of queries from ``beam_data``, drawn with ``seed``; null uses all."""
    output_dir: str = Field(default="runs/offline", min_length=1)
    """Output folder for checkpoints, the model or adapter, metrics and the plot."""

    reward_name: MetricsReward = "queue"
    """Reward that compares rows with ``outcomes``; rows with scores are used as they are."""
    scale_rewards: Literal["group", "dataset"] = "group"
    """Scores are divided by the standard deviation of their group, or by that of the whole dataset,
    in which case groups that hardly differ teach little."""
    score_weight: float = Field(default=1.0, ge=0)
    """Weight of a candidate's own score."""
    sequence_weight: float = Field(default=0.2, ge=0)
    """Weight of the coherence and diversity of a candidate's sequence."""
    task_weight: float = Field(default=0.5, ge=0)
    """Weight of the closed-loop figure, if candidates have one."""

    rce_epochs: int = Field(default=2, ge=0, le=100)
    """Epochs of stage 1, reward-weighted cross-entropy; 0 skips it."""
    tau_start: float = Field(default=2.0, gt=0)
    """Temperature of the weights ``exp(score / tau)`` at the first step of stage 1."""
    tau_end: float = Field(default=0.5, gt=0)
    """Temperature at the last step of stage 1; linear in between."""
    grpo_epochs: int = Field(default=3, ge=0, le=100)
    """Epochs of stage 2, offline GRPO; 0 skips it."""
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    """Clipping: how far the ratio to a stored probability may move from 1 and still have a
    gradient."""
    top_k: int = Field(default=3, ge=2)
    """Number of best candidates per query in the early epochs of stage 2."""
    top_k_epochs: int = Field(default=1, ge=0)
    """Number of early epochs; later ones use all candidates."""
    kl_coeff: float = Field(default=0.1, gt=0)
    """Initial weight of the KL term in stage 2, against the frozen model it starts from."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of stage 2 at its start: what advantages are divided by."""
    temperature_adapt_factor: float = Field(default=1.1, ge=1)
    """Factor by which the temperature rises at a logged step whose KL is above ``kl_high``, and
    falls after one below ``kl_low``; 1 keeps it."""
    temperature_min: float = Field(default=0.5, gt=0)
    """Lower bound of the adapted temperature."""
    temperature_max: float = Field(default=2.0, gt=0)
    """Upper bound of the adapted temperature."""
    best_by: Literal["kl", "regret"] = "kl"
    """Criterion for the best checkpoint of stage 2, which is saved as the result: the smallest KL
    to its start, or the smallest regret, on the validation queries."""

    sft_learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """Learning rate that the starting model was trained with; null reads it from the
    ``config.yaml`` of its ``train sft`` run, or uses 1e-4 if there is none."""
    rate_share: float = Field(default=_TENTH, gt=0, le=1)
    """The share of the supervised rate that both stages peak at."""
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """Peak learning rate of both stages; null uses ``rate_share`` of ``sft_learning_rate``."""
    batch_size: int = Field(default=4, ge=1)
    """Queries per forward pass, each with all of its candidates."""
    gradient_accumulation_steps: int = Field(default=4, ge=1)
    """Forward passes per optimizer step."""
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of a stage's steps over which the learning rate rises to its peak."""
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """Learning rate schedule after the warm-up."""
    logging_steps: int = Field(default=5, ge=1)
    """Steps between lines of metrics, and between changes of the KL weight."""

    @model_validator(mode="after")
    def _settings_that_fit_together(self) -> Self:
        if self.rce_epochs == 0 and self.grpo_epochs == 0:
            raise ValueError("rce_epochs and grpo_epochs are both 0: there is nothing to do")
        if self.score_weight == self.sequence_weight == self.task_weight == 0:
            raise ValueError("score_weight, sequence_weight and task_weight are all 0")
        if self.backend == "unsloth" or self.load_in_4bit or self.use_vllm:
            raise ValueError(
                "train offline does not support backend: unsloth, load_in_4bit or use_vllm: it "
                "generates nothing and needs logits, which Unsloth does not return"
            )
        return self

    @model_validator(mode="after")
    def _bounds_of_the_kl(self) -> Self:
        self.kl_control.check_start(self.kl_coeff)
        if not self.temperature_min <= self.temperature <= self.temperature_max:
            raise ValueError(
                f"temperature must begin between temperature_min ({self.temperature_min}) and "
                f"temperature_max ({self.temperature_max}); it is {self.temperature}"
            )
        return self

    @property
    def for_loading(self) -> Self:
        """The settings with ``auto`` resolved: Transformers, and fp32 to train all weights.

        A bf16 weight does not change if a step is smaller than about 0.4 % of it.
        """
        changes = {"backend": "transformers"}
        if self.lora_rank == 0 and self.precision == "auto":
            changes["precision"] = "fp32"
        return self.model_copy(update=changes)

    @property
    def temperature_control(self) -> KLControl | None:
        """How the temperature of stage 2 follows the KL; None where it stays."""
        if self.temperature_adapt_factor == 1:
            return None
        return KLControl(
            self.kl_low,
            self.kl_high,
            self.temperature_adapt_factor,
            self.temperature_min,
            self.temperature_max,
        )

    @property
    def level_weights(self) -> LevelWeights:
        """How much each level of the reward counts."""
        return LevelWeights(self.score_weight, self.sequence_weight, self.task_weight)

    @property
    def peak_rate(self) -> float:
        """The peak learning rate of both stages."""
        return self._rate[0]

    @property
    def rate_origin(self) -> str:
        """Where :attr:`peak_rate` comes from, for the log."""
        return self._rate[1]

    @property
    def _rate(self) -> tuple[float, str]:
        if self.learning_rate is not None:
            return self.learning_rate, "learning_rate"
        found = (
            (self.sft_learning_rate, "sft_learning_rate"),
            (rate_of_start(Path(self.model_path)), "the rate of its supervised run"),
            (_SFT_RATE, f"{_SFT_RATE}, because there is no config.yaml of a supervised run"),
        )
        rate, origin = next((rate, origin) for rate, origin in found if rate is not None)
        share = "a tenth" if self.rate_share == _TENTH else f"{self.rate_share:g}"
        return rate * self.rate_share, f"{share} of {origin}"


def rate_of_start(folder: Path) -> float | None:
    """The ``learning_rate`` in the ``config.yaml`` of the supervised run that saved a model.

    Searched in the folder itself and its parent. None if it is not found, for example because the
    model is from another kind of run: GRPO's rate is not a guide for stage 1.
    """
    for place in (folder, folder.parent):
        try:
            run = SFTTrainingConfig.from_yaml(place / "config.yaml")
        except ConfigError:
            continue
        if "learning_rate" in run.model_fields_set:
            return run.learning_rate
    return None
