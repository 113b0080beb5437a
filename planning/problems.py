"""A problem and its domain, parsed by unified-planning, and the validation of plans for it.

This is the only module that imports unified-planning, which takes seconds; it is used only in
:mod:`planning.process`.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

from pyparsing import ParseBaseException
from unified_planning.engines.plan_validator import SequentialPlanValidator
from unified_planning.engines.results import ValidationResultStatus
from unified_planning.engines.sequential_simulator import (
    UPSequentialSimulator,
    evaluate_quality_metric,
    evaluate_quality_metric_in_initial_state,
)
from unified_planning.exceptions import UPException
from unified_planning.io import PDDLReader
from unified_planning.model import FNode, Problem, State
from unified_planning.plans import ActionInstance, SequentialPlan

from planning.texts import domain_outline, problem_outline
from planning.verdicts import PlanMetrics
from shared.errors import InvalidDecision, ProblemError, RolloutError
from shared.language.plans import Step

__all__ = ["PlanningProblem"]


class PlanningProblem:
    """A problem in its domain.

    Args:
        domain: The domain in PDDL.
        problem: The problem in PDDL.

    Raises:
        ProblemError: ``bad_pddl`` with the line and what was expected; ``no_domain``,
            ``wrong_domain``: the problem belongs to no domain, or to another; ``unsupported_pddl``:
            it is not classical planning.
    """

    def __init__(self, domain: str, problem: str) -> None:
        own, wanted = domain_outline(domain).name, problem_outline(problem).domain
        if own != wanted:
            raise ProblemError(
                f"the problem belongs to the domain {wanted}, but the domain given is {own}",
                "wrong_domain",
            )
        self._problem = _read(domain, problem)
        kind = self._problem.kind
        if not SequentialPlanValidator.supports(kind):
            odd = sorted(kind.features - SequentialPlanValidator.supported_kind().features)
            raise ProblemError(
                f"the problem is not classical planning: {', '.join(odd).lower()}",
                "unsupported_pddl",
            )
        goals = _conjuncts(self._problem.goals)
        self._problem.clear_goals()
        for goal in goals:
            self._problem.add_goal(goal)
        self._simulator = UPSequentialSimulator(self._problem, error_on_failed_checks=False)

    def metrics(self, steps: Sequence[Step]) -> PlanMetrics:
        """The metrics of a plan.

        Args:
            steps: The plan; at least one step.

        Raises:
            InvalidDecision: ``unknown_action``, ``wrong_arguments``: the domain has no such
                step.
            RolloutError: ``validation_failed``: the validator cannot handle it.
        """
        plan = SequentialPlan([self._instance(n, step) for n, step in enumerate(steps, start=1)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = SequentialPlanValidator().validate(self._problem, plan)
            trace = list(result.trace or ())
            cost = self._cost(plan.actions, trace)
            missed = len(self._simulator.get_unsatisfied_goals(trace[-1]))
        except (UPException, AssertionError, NotImplementedError) as exc:
            raise RolloutError(
                f"the plan could not be validated: {exc}", "validation_failed"
            ) from exc
        is_valid, goals = result.status == ValidationResultStatus.VALID, len(self._problem.goals)
        return PlanMetrics(
            is_valid=int(is_valid),
            executable_share=(len(trace) - 1) / len(steps),
            goals_share=(goals - missed) / goals if goals else 1.0,
            steps=len(steps),
            cost=cost,
        )

    def legal(self, state: State) -> list[Step]:
        """The steps that can be executed in a state, in a stable order."""
        found = [
            (action.name, *(str(one) for one in arguments))
            for action, arguments in self._simulator.get_applicable_actions(state)
        ]
        return sorted(found)

    def walk(self, choose: Callable[[Sequence[Step]], Step], most: int) -> tuple[Step, ...]:
        """A walk of legal steps, until every goal holds, nothing is legal or it has ``most`` steps.

        Args:
            choose: Picks one of the legal steps.
            most: Maximum number of steps.
        """
        state, steps = self._simulator.get_initial_state(), list[Step]()
        while len(steps) < most and self._simulator.get_unsatisfied_goals(state):
            options = self.legal(state)
            if not options:
                break
            steps.append(choose(options))
            instance = self._instance(len(steps), steps[-1])
            after = self._simulator.apply(state, instance.action, instance.actual_parameters)
            assert after is not None, "the step was legal"  # noqa: S101
            state = after
        return tuple(steps)

    def _instance(self, number: int, step: Step) -> ActionInstance:
        name, *arguments = step
        if not self._problem.has_action(name):
            known = ", ".join(sorted(action.name for action in self._problem.actions)[:8])
            raise InvalidDecision(
                f"step {number}: the domain has no action {name[:40]!r}; it has {known}",
                "unknown_action",
            )
        action = self._problem.action(name)
        if len(arguments) != len(action.parameters):
            raise InvalidDecision(
                f"step {number}: {name} takes {len(action.parameters)} arguments, "
                f"not {len(arguments)}",
                "wrong_arguments",
            )
        values = []
        for parameter, argument in zip(action.parameters, arguments, strict=True):
            if not self._problem.has_object(argument):
                raise InvalidDecision(
                    f"step {number}: the problem has no object {argument[:40]!r}",
                    "wrong_arguments",
                )
            thing = self._problem.object(argument)
            if not parameter.type.is_compatible(thing.type):
                raise InvalidDecision(
                    f"step {number}: {name} needs {parameter.name} to be of the type "
                    f"{parameter.type}, but {argument} is not",
                    "wrong_arguments",
                )
            values.append(self._problem.environment.expression_manager.ObjectExp(thing))
        return ActionInstance(action, tuple(values))

    def _cost(self, actions: Sequence[ActionInstance], trace: Sequence[State]) -> float:
        """Cost of the executed part."""
        metrics = self._problem.quality_metrics
        if len(metrics) != 1:
            return float(len(trace) - 1)
        value = evaluate_quality_metric_in_initial_state(self._simulator, metrics[0])
        for number, (before, after) in enumerate(pairwise(trace)):
            done = actions[number]
            value = evaluate_quality_metric(
                self._simulator,
                metrics[0],
                value,
                before,
                done.action,
                done.actual_parameters,
                after,
            )
        return float(value)


def _conjuncts(goals: Sequence[FNode]) -> list[FNode]:
    """The goals to count one by one: conjunctions are split."""
    found: list[FNode] = []
    rest = list(reversed(goals))
    while rest:
        goal = rest.pop()
        if goal.is_and():
            rest += reversed(goal.args)
        else:
            found.append(goal)
    return found


def _read(domain: str, problem: str) -> Problem:
    try:
        return _parsed("problem", domain, problem)
    except ProblemError:
        _parsed("domain", domain, None)  # raises if the domain is at fault
        raise


def _parsed(kind: str, domain: str, problem: str | None) -> Problem:
    """Parses texts; raises ``ProblemError`` with the parser's message, which gives the line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return PDDLReader().parse_problem_string(domain, problem)
    except ParseBaseException as exc:
        found = exc.msg[:1].lower() + exc.msg[1:]
        raise ProblemError(f"the {kind}, line {exc.lineno}: {found}") from exc
    except (SyntaxError, UPException, AssertionError, KeyError, ValueError) as exc:
        words = " ".join(str(exc).split())[:300] or type(exc).__name__
        raise ProblemError(f"the {kind}: {words}") from exc
    except (NotImplementedError, AttributeError, TypeError) as exc:
        words = " ".join(str(exc).split())[:300] or type(exc).__name__
        raise ProblemError(f"the {kind} cannot be read: {words}", "unsupported_pddl") from exc
