"""Evaluation on planning problems."""

from trainer.evaluation.planning.figures import Interval, PlanFigures
from trainer.evaluation.planning.plans import (
    Answerer,
    PlanEvaluation,
    PlanPolicyReport,
    evaluate_plans,
)
from trainer.evaluation.planning.problems import PlanProblem, read_plan_problems, reference_plans

__all__ = [
    "Answerer",
    "Interval",
    "PlanEvaluation",
    "PlanFigures",
    "PlanPolicyReport",
    "PlanProblem",
    "evaluate_plans",
    "read_plan_problems",
    "reference_plans",
]
