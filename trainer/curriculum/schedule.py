"""How much of each difficulty a run trains on over time.

Owns the schedule and its rules. :mod:`trainer.curriculum.buckets` defines easy and hard.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer.curriculum.buckets import LEVELS, Level

__all__ = ["DEFAULT_SCHEDULE", "CurriculumPhase", "check_schedule", "get_curriculum_weights"]


class CurriculumPhase(BaseModel):
    """A phase of a run. Weights are relative: 70, 25, 5 and 0.70, 0.25, 0.05 are the same."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    until: float = Field(gt=0, le=1)
    """Where the phase ends, as a share of the run's steps; 1 is the end of the run."""
    easy: float = Field(ge=0)
    """Weight of the easy samples."""
    medium: float = Field(ge=0)
    """Weight of the medium samples."""
    hard: float = Field(ge=0)
    """Weight of the hard samples."""

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if self.easy + self.medium + self.hard == 0:
            raise ValueError("easy, medium and hard are all 0")
        return self

    @property
    def weights(self) -> dict[Level, float]:
        """The weights as shares, which add up to 1."""
        total = self.easy + self.medium + self.hard
        return {level: getattr(self, level) / total for level in LEVELS}


DEFAULT_SCHEDULE = (
    CurriculumPhase(until=0.3, easy=70, medium=25, hard=5),
    CurriculumPhase(until=0.7, easy=40, medium=40, hard=20),
    CurriculumPhase(until=1.0, easy=20, medium=40, hard=40),
)
"""Mostly easy samples for 30 % of the steps, mostly harder ones from 70 % on."""


def check_schedule(schedule: Sequence[CurriculumPhase]) -> None:
    """Checks that the phases of a schedule are in order and cover the whole run.

    Raises:
        ValueError: They do not.
    """
    ends = [phase.until for phase in schedule]
    if not ends or ends[-1] != 1:
        raise ValueError("the last phase of a curriculum_schedule must have until: 1.0")
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise ValueError(
            f"the phases of a curriculum_schedule must end one after the other; until is {ends}"
        )


def get_curriculum_weights(
    step: int, max_steps: int, schedule: Sequence[CurriculumPhase] = DEFAULT_SCHEDULE
) -> dict[Level, float]:
    """The share of each difficulty in the batch of a step.

    Args:
        step: Number of finished steps, so 0 for the first; beyond ``max_steps``, the last phase
            applies.
        max_steps: Steps of the whole run.
        schedule: Its phases, in order; the last one ends at 1.

    Returns:
        By level; they add up to 1.

    Raises:
        ValueError: ``step`` is negative or ``max_steps`` is not positive.

    >>> get_curriculum_weights(29, 100)
    {'easy': 0.7, 'medium': 0.25, 'hard': 0.05}
    >>> get_curriculum_weights(30, 100)
    {'easy': 0.4, 'medium': 0.4, 'hard': 0.2}
    >>> get_curriculum_weights(70, 100)
    {'easy': 0.2, 'medium': 0.4, 'hard': 0.4}
    """
    if step < 0 or max_steps < 1:
        raise ValueError(f"no step {step} in a run of {max_steps} steps")
    progress = step / max_steps
    current = next((phase for phase in schedule if progress < phase.until), schedule[-1])
    return current.weights
