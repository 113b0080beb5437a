"""The rows of a file of candidate plans: decision points, plans at each, and exact rewards."""

from typing import Self

from pydantic import Field, FiniteFloat, model_validator

from shared.dataset import Row
from shared.decisions import Decision
from shared.model import WireModel
from shared.rewards import RewardSpec

__all__ = ["PlanRow", "ScoredDecision"]


class ScoredDecision(WireModel):
    """One candidate: a decision and its exact reward."""

    decision: Decision
    reward: FiniteFloat
    """Higher is better."""
    task: FiniteFloat | None = None
    """A closed-loop figure, higher is better, where one was computed."""


class PlanRow(Row):
    """One decision point with plans, the best first, in both forms that a trainer may read."""

    id_list: tuple[tuple[str, ...], ...] = Field(min_length=2)
    """Each plan as the words that a model answers, ``yes`` and ``no``."""
    score_list: tuple[FiniteFloat, ...]
    """The reward of each."""
    candidates: tuple[ScoredDecision, ...]
    """The same plans as decisions."""
    reward: RewardSpec
    """What was asked for."""

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if not len(self.id_list) == len(self.score_list) == len(self.candidates):
            raise ValueError("id_list, score_list and candidates differ in length")
        return self
