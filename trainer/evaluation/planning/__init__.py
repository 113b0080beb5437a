"""Evaluation on planning problems."""

from trainer.evaluation.planning.plans import (
    PlanEvaluation,
    PlanFigures,
    PlanProblem,
    evaluate_plans,
    read_plan_problems,
    reference_plans,
)

__all__ = [
    "PlanEvaluation",
    "PlanFigures",
    "PlanProblem",
    "evaluate_plans",
    "read_plan_problems",
    "reference_plans",
]
