"""Scoring a request: items in, results out, in the same order."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reward_server.event_loop import TimeSlice
from reward_server.scoring.candidates import Candidate, read_item
from reward_server.scoring.new_states import NewStates
from reward_server.scoring.response_cache import (
    Answer,
    AnswerKey,
    ResponseCache,
    answer_key,
    terms_of,
)
from reward_server.scoring.rewards import ComputedReward, compute_reward
from reward_server.scoring.rollout_plan import RolloutPlan, plan_rollouts
from reward_server.scoring.single_flight import Fetched, SingleFlight
from shared.errors import DeadlineExceeded, ErrorInfo, GreenforkError
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from sim_workers.pool.fair_queue import Flow, Purpose
from sim_workers.states.store import StateStore

__all__ = ["ScoredRequest", "Scorer"]


@dataclass(frozen=True)
class ScoredRequest:
    """The answers to a request, in the order of its items, and what they took."""

    request: ScoreRequest
    answers: tuple[Answer, ...]
    fetched: Fetched
    hot_hits: int
    """Items that were answered from memory."""
    simulator: Simulator

    @cached_property
    def counts(self) -> Counts:
        """A summary."""
        statuses = Counter(answer.status for answer in self.answers)
        return Counts(
            scored=statuses["scored"],
            invalid=statuses["invalid"],
            failed=statuses["failed"],
            cached=sum(answer.is_cached for answer in self.answers),
            rollouts=self.fetched.rollouts,
        )

    @cached_property
    def response(self) -> ScoreResponse:
        """The answer to the request."""
        pairs = zip(self.request.items, self.answers, strict=True)
        return ScoreResponse(
            results=tuple(answer.result(item.id) for item, answer in pairs),
            counts=self.counts,
            simulator=self.simulator,
        )

    def json(self) -> bytes:
        """The response as JSON, without making it first: the texts are there."""
        pairs = zip(self.request.items, self.answers, strict=True)
        results = b",".join([answer.json(item.id) for item, answer in pairs])
        counts, simulator = self.counts.model_dump_json(), self.simulator.model_dump_json()
        rest = f'],"counts":{counts},"simulator":{simulator}}}'
        return b'{"results":[' + results + rest.encode()


class Scorer:
    """Scores requests.

    Args:
        store: The states that can be scored on.
        single_flight: Where outcomes come from.
        simulator: The program that computes them.
        hot: Answers that need not be made again.
    """

    def __init__(
        self,
        store: StateStore,
        single_flight: SingleFlight,
        simulator: Simulator,
        hot: ResponseCache,
    ) -> None:
        self._store = store
        self._single_flight = single_flight
        self._simulator = simulator
        self._hot = hot
        self._new_states = NewStates(store)

    async def recall(self, request: ScoreRequest) -> ScoredRequest | None:
        """The answers to a request, if every one is in memory."""
        terms, time_slice = terms_of(request), TimeSlice()
        answers: list[Answer] = []
        for item in request.items:
            answer = self._hot.get(answer_key(terms, item))
            if answer is None:
                return None
            answers.append(answer)
            if item.decisions is not None:
                await time_slice.taken()
        return ScoredRequest(request, tuple(answers), Fetched(), len(answers), self._simulator)

    async def score(self, request: ScoreRequest, flow: Flow, request_id: str = "") -> ScoredRequest:
        """Scores every item, or says of it why not. Cancelling the call ends the work.

        Args:
            request: What to score.
            flow: Whose share of the workers it takes.
            request_id: For the logs of every process that takes part.

        Raises:
            UnknownState: An item names a state that is not served.
            UnknownSignal: An item names a signal that its state does not have.
            DeadlineExceeded: Not one item was done in time.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        terms = terms_of(request)
        keys = await self._keys(terms, request.items)
        known = {key: answer for key in keys if (answer := self._hot.get(key))}
        missing = {
            key: item for key, item in zip(keys, request.items, strict=True) if key not in known
        }
        fetched, hot_hits = Fetched(), sum(key in known for key in keys)
        if missing:
            await self._new_states.meet(item.state_id for item in missing.values())
            purpose = Purpose(flow, request_id)
            computed, fetched = await self._compute(request, missing, deadline, purpose)
            known |= computed
        answers = tuple(known[key] for key in keys)
        _refuse_if_all_late(answers, request.timeout_s)
        return ScoredRequest(request, answers, fetched, hot_hits, self._simulator)

    async def _compute(
        self,
        request: ScoreRequest,
        items: Mapping[AnswerKey, ScoreItem],
        deadline: float,
        purpose: Purpose,
    ) -> tuple[dict[AnswerKey, Answer], Fetched]:
        """The answers that are not in memory, which they are afterwards."""
        candidates, works = await self._read(request, items.values())
        tasks = {key: task for work in works if work for key, task in work.tasks().items()}
        fetched = await self._single_flight.fetch(tasks, deadline, purpose)
        answers: dict[AnswerKey, Answer] = {}
        time_slice = TimeSlice()
        for key, candidate, work in zip(items, candidates, works, strict=True):
            result = _result(request, candidate, work, fetched)
            answers[key] = Answer.of(result)
            if result.status != "failed":
                known = Answer.of(_known_from_now_on(result))
                self._hot.put(key, known, is_seldom_asked=purpose.flow.is_bulk)
            await time_slice.taken()
        return answers, fetched

    async def _keys(self, terms: str, items: Iterable[ScoreItem]) -> list[AnswerKey]:
        keys, time_slice = [], TimeSlice()
        for item in items:
            keys.append(answer_key(terms, item))
            await time_slice.taken()
        return keys

    async def _read(
        self, request: ScoreRequest, items: Iterable[ScoreItem]
    ) -> tuple[list[Candidate], list[RolloutPlan | None]]:
        """What items ask for, and the rollouts of the legal ones."""
        candidates: list[Candidate] = []
        works: list[RolloutPlan | None] = []
        time_slice = TimeSlice()
        for item in items:
            candidate = read_item(item, self._store)
            candidates.append(candidate)
            works.append(self._work(request, candidate))
            await time_slice.taken()
        return candidates, works

    def _work(self, request: ScoreRequest, candidate: Candidate) -> RolloutPlan | None:
        """The rollouts of a legal candidate; None of another."""
        if candidate.error is not None:
            return None
        task = candidate.task(request.reward)
        return plan_rollouts(task, candidate.state, request.reward, self._simulator.version)


def _result(
    request: ScoreRequest, candidate: Candidate, work: RolloutPlan | None, fetched: Fetched
) -> ScoreResult:
    if candidate.error is not None:
        return _without_reward(request, candidate, candidate.error)
    assert work is not None, "a legal candidate has work"  # noqa: S101
    computed = compute_reward(work, request.reward, fetched.outcomes)
    if isinstance(computed, ComputedReward):
        return _scored(request, candidate, computed)
    return _without_reward(request, candidate, computed)


def _scored(request: ScoreRequest, candidate: Candidate, computed: ComputedReward) -> ScoreResult:
    return ScoreResult(
        id=None,
        status="scored",
        reward=computed.reward,
        reward_stderr=computed.stderr,
        seeds=computed.seeds,
        decision=candidate.decision,
        decisions=candidate.item.decisions,
        metrics=computed.shown_metrics(request.series),
        cached=computed.is_cached,
        restore=candidate.restore(request.reward),
        fidelity=candidate.fidelity(request.reward),
    )


def _without_reward(
    request: ScoreRequest, candidate: Candidate, error: GreenforkError
) -> ScoreResult:
    """An invalid item's result, or that of an item that could not be computed."""
    is_invalid = error is candidate.error
    return ScoreResult(
        id=None,
        status="invalid" if is_invalid else "failed",
        reward=request.reward.invalid_reward if is_invalid else None,
        decision=candidate.decision,
        decisions=candidate.item.decisions,
        restore=candidate.restore(request.reward),
        fidelity=candidate.fidelity(request.reward),
        error=ErrorInfo.of(error),
    )


def _known_from_now_on(result: ScoreResult) -> ScoreResult:
    """The result as it will be told the next time."""
    is_scored = result.status == "scored"
    return result.model_copy(update={"cached": True}) if is_scored else result


def _refuse_if_all_late(answers: Sequence[Answer], timeout_s: float) -> None:
    if all(answer.code == DeadlineExceeded.code for answer in answers):
        raise DeadlineExceeded(f"no item finished within timeout_s = {timeout_s:g}")
