"""Judging policies on held-out decision points: models, adapters, rules, and the oracle.

Importing this package is cheap; what needs torch is imported when a model is judged.
"""

from trainer.evaluation.answers import Generation
from trainer.evaluation.assessment import EvaluationPlan, evaluate
from trainer.evaluation.bootstrap import Bootstrap
from trainer.evaluation.report import Evaluation

__all__ = ["Bootstrap", "Evaluation", "EvaluationPlan", "Generation", "evaluate"]
