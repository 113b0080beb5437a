"""The planning domain: PDDL problems, their generators, and the validator of plans.

It imports only :mod:`shared`. Texts from strangers are parsed in a separate process
(:mod:`planning.process`), which has limits and can be killed.
"""

from planning.texts import Outline, domain_outline, problem_outline
from planning.verdicts import PLAN_REWARDS, PlanMetrics, plan_reward
from shared.language.plans import Step, read_plan

__all__ = [
    "PLAN_REWARDS",
    "Outline",
    "PlanMetrics",
    "Step",
    "domain_outline",
    "plan_reward",
    "problem_outline",
    "read_plan",
]
