"""The value of a plan: its metrics, and every reward computed from them."""

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field

from shared.model import WireModel

__all__ = ["PLAN_REWARDS", "PlanMetrics", "PlanReward", "plan_reward"]

PlanReward = Literal["plan_valid", "plan_progress"]
PLAN_REWARDS: tuple[PlanReward, ...] = get_args(PlanReward)


class PlanMetrics(WireModel):
    """The result of executing a plan from the problem's initial state.

    Steps are executed one after the other, up to the first whose precondition fails.
    """

    is_valid: int = Field(ge=0, le=1)
    """1 if every step could be executed and every goal holds at the end."""
    executable_share: float = Field(ge=0, le=1)
    """Steps that could be executed / all steps."""
    goals_share: float = Field(ge=0, le=1)
    """Goals that hold after the executable part / all goals."""
    steps: int = Field(ge=0)
    """Number of steps in the plan, executable or not."""
    cost: float
    """Cost of the executable part by the problem's own metric, or its number of steps if there is
    no metric."""


def plan_reward(name: str, metrics: PlanMetrics, terms: Mapping[str, float] | None = None) -> float:
    """A reward computed from the metrics alone; higher is better.

    | name | value |
    |---|---|
    | ``plan_valid`` | 1 or 0 |
    | ``plan_progress`` | 0.5 goals_share + 0.5 is_valid |
    | ``sum`` | of ``terms``, weighted |

    Raises:
        KeyError: There is no such reward.

    >>> metrics = PlanMetrics(is_valid=0, executable_share=1, goals_share=0.5, steps=4, cost=4)
    >>> plan_reward("plan_progress", metrics)
    0.25
    >>> plan_reward("sum", metrics, {"plan_valid": 1.0, "plan_progress": 2.0})
    0.5
    """
    values: dict[str, float] = {
        "plan_valid": float(metrics.is_valid),
        "plan_progress": 0.5 * metrics.goals_share + 0.5 * metrics.is_valid,
    }
    if name == "sum":
        return sum((weight * values[term] for term, weight in (terms or {}).items()), 0.0)
    return values[name]
