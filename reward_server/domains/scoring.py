"""Scoring in any domain of problems: from items to tasks, and from outcomes to answers."""

import hashlib
import json
from collections.abc import Mapping

from reward_server.domains.base import Computed, ProblemDomain, Terms
from reward_server.event_loop import TimeSlice
from reward_server.scoring.response_cache import Answer, AnswerKey
from reward_server.scoring.single_flight import SingleFlight, Work, check_finite
from shared.errors import InvalidDecision, InvalidRequest, RolloutError, UnknownProblem
from shared.rewards import DomainMetrics, RewardSpec
from shared.wire.error_info import ErrorInfo
from shared.wire.jobs import JobSpec
from shared.wire.scoring import DomainItem, Item, ScoreResult, Status
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.tasks import Task

__all__ = ["ProblemScoring", "task_key", "unknown_domain"]


class ProblemScoring:
    """Scores the answers of one domain.

    Args:
        domain: The domain.
        single_flight: The source of outcomes.
    """

    def __init__(self, domain: ProblemDomain, single_flight: SingleFlight) -> None:
        self._domain = domain
        self._single_flight = single_flight

    async def compute(self, items: Mapping[AnswerKey, Item], terms: Terms) -> Computed:
        """The answers to items; see :class:`reward_server.domains.base.Domain`."""
        reward = self._reward(terms.request.reward)
        works: dict[str, Work] = {}
        planned: dict[AnswerKey, str | ErrorInfo] = {}
        time_slice = TimeSlice()
        for key, item in items.items():
            planned[key] = self._planned(item, works)
            await time_slice.taken()
        outcomes = await self._single_flight.fetch(
            works, terms.deadline, terms.flow, terms.request_id
        )
        answers = {}
        for key, plan in planned.items():
            error = plan if isinstance(plan, ErrorInfo) else None
            outcome = None if isinstance(plan, ErrorInfo) else outcomes[plan]
            answers[key] = Answer.of(self._result(reward, outcome, error))
            await time_slice.taken()
        return answers, outcomes

    def check(self, item: Item, spec: JobSpec) -> None:
        """Checks that an item names a served problem, and that the domain has the reward.

        Raises:
            UnknownProblem: No such problem is served.
            InvalidRequest: The domain has no such reward.
        """
        self._reward(spec.reward)
        assert isinstance(item, DomainItem), "an item of a domain"  # noqa: S101
        try:
            self._domain.task(item.problem_id, item.completion)
        except InvalidDecision:
            return

    def _planned(self, item: Item, works: dict[str, Work]) -> str | ErrorInfo:
        """The key of the work that an item needs, which is added to ``works``."""
        assert isinstance(item, DomainItem), "an item of a domain"  # noqa: S101
        try:
            task = self._domain.task(item.problem_id, item.completion)
        except InvalidDecision as exc:
            return ErrorInfo.of(exc)
        key = task_key(task, self._domain)
        works[key] = task
        return key

    def _reward(self, spec: RewardSpec) -> RewardSpec:
        """The requested reward; the domain's default if the request names none.

        Raises:
            InvalidRequest: ``unknown_reward``.
        """
        if not {"name", "terms"} & spec.model_fields_set:
            return spec.model_copy(update={"name": self._domain.rewards[0]})
        if spec.seeds is not None:
            raise InvalidRequest(f"reward.seeds: the domain {self._domain.name} knows no seeds")
        for name in spec.terms or (spec.name,):
            if name not in self._domain.rewards:
                raise InvalidRequest(
                    f"reward.name: the domain {self._domain.name} has the rewards "
                    f"{', '.join(self._domain.rewards)} and their sum, not {name}",
                    "unknown_reward",
                )
        return spec

    def _result(
        self, reward: RewardSpec, outcome: RolloutOutcome | None, error: ErrorInfo | None
    ) -> ScoreResult:
        if outcome is not None and outcome.error is not None:
            status: Status = "failed"
            if outcome.error.code in self._domain.invalid_codes:
                status = "invalid"
            return _without_reward(status, reward, outcome.error)
        if outcome is None or outcome.numbers is None:
            assert error is not None, "it is work, or an error"  # noqa: S101
            return _without_reward("invalid", reward, error)
        try:
            value = self._domain.reward(reward, outcome.numbers.root)
            check_finite(DomainMetrics({reward.name: value}))
        except RolloutError as exc:
            return _without_reward("failed", reward, ErrorInfo.of(exc))
        return ScoreResult(
            id=None,
            status="scored",
            reward=value,
            metrics=outcome.numbers,
            cached=outcome.is_recorded,
        )


def task_key(task: Task, domain: ProblemDomain) -> str:
    """The key of an outcome in the ledger: 64 hex digits."""
    identity = ["task", task.domain, domain.version, task.performer, task.work]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def unknown_domain(domain: str, known: Mapping[str, object]) -> UnknownProblem:
    """The error for an item of a domain that is not served."""
    return UnknownProblem(
        f"this service knows no domain {domain!r}; it has traffic, {', '.join(sorted(known))}",
        "unknown_domain",
    )


def _without_reward(status: Status, reward: RewardSpec, error: ErrorInfo) -> ScoreResult:
    return ScoreResult(
        id=None,
        status=status,
        reward=reward.invalid_reward if status == "invalid" else None,
        error=error,
    )
