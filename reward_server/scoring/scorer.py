"""Scoring a request: items in, results out, in the same order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from reward_server.event_loop import TimeSlice
from reward_server.scoring.response_cache import (
    Answer,
    AnswerKey,
    ResponseCache,
    answer_key,
    terms_of,
)
from reward_server.scoring.rollout_plan import needs_delay, plan_item
from reward_server.scoring.single_flight import SingleFlight
from shared.errors import DeadlineExceeded
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse
from shared.wire.states import Simulator
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.states.store import StateStore

__all__ = ["Computed", "NewStates", "ScoredRequest", "Scorer"]

Computed = tuple[dict[AnswerKey, Answer], dict[str, RolloutOutcome]]
"""Answers that were not in memory, and the outcomes behind them, by key."""


@dataclass(frozen=True)
class ScoredRequest:
    """The answers to a request, in the order of its items, and what they took."""

    request: ScoreRequest
    answers: tuple[Answer, ...]
    outcomes: Mapping[str, RolloutOutcome]
    """Behind those answers that were not in memory, by key."""
    hot_hits: int
    """Items that were answered from memory."""
    simulator: Simulator

    @cached_property
    def counts(self) -> Counts:
        """A summary."""
        return Counts.of(self.answers, sum(o.is_started for o in self.outcomes.values()))

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
        new_states: Makes the store know those that have come since.
        single_flight: Where outcomes come from.
        simulator: The program that computes them.
        hot: Answers that need not be made again.
    """

    def __init__(
        self,
        store: StateStore,
        new_states: "NewStates",
        single_flight: SingleFlight,
        simulator: Simulator,
        hot: ResponseCache,
    ) -> None:
        self._store = store
        self._new_states = new_states
        self._single_flight = single_flight
        self._simulator = simulator
        self._hot = hot

    async def score(
        self,
        request: ScoreRequest,
        flow: Flow,
        request_id: str = "",
        around: Callable[[Coroutine[None, None, Computed]], Awaitable[Computed]] | None = None,
    ) -> ScoredRequest:
        """Scores every item, or says of it why not. Cancelling the call ends the work.

        Args:
            request: What to score.
            flow: Whose share of the workers it takes.
            request_id: For the logs of every process that takes part.
            around: Awaits the work where there is any: where not all answers are in memory.

        Raises:
            UnknownState: An item names a state that is not served.
            UnknownSignal: An item names a signal that its state does not have.
            DeadlineExceeded: Not one item was done in time.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        keys = await _keys(request)
        found = [self._hot.get(key) for key in keys]
        answers = [answer for answer in found if answer]
        hot_hits, outcomes = len(answers), dict[str, RolloutOutcome]()
        if hot_hits < len(keys):
            asked = zip(keys, request.items, found, strict=True)
            missing = {key: item for key, item, answer in asked if not answer}
            work = self._compute(request, missing, deadline, flow, request_id)
            computed, outcomes = await (around(work) if around else work)
            answers = [known or computed[key] for key, known in zip(keys, found, strict=True)]
        if all(answer.code == DeadlineExceeded.code for answer in answers):
            raise DeadlineExceeded(f"no item finished within timeout_s = {request.timeout_s:g}")
        return ScoredRequest(request, tuple(answers), outcomes, hot_hits, self._simulator)

    async def _compute(
        self,
        request: ScoreRequest,
        items: Mapping[AnswerKey, ScoreItem],
        deadline: float,
        flow: Flow,
        request_id: str,
    ) -> Computed:
        """The answers that are not in memory, which they are afterwards."""
        await self._new_states.meet(item.state_id for item in items.values())
        plans, time_slice = [], TimeSlice()
        for item in items.values():
            plans.append(plan_item(item, request.reward, self._store, self._simulator.version))
            await time_slice.taken()
        rollouts = {key: rollout for plan in plans for key, rollout in plan.rollouts.items()}
        is_needed = needs_delay(request.reward, request.metrics)
        outcomes = await self._single_flight.fetch(rollouts, deadline, flow, request_id, is_needed)
        answers: dict[AnswerKey, Answer] = {}
        for key, plan in zip(items, plans, strict=True):
            result = plan.result(outcomes, request.series, request.metrics)
            answers[key] = Answer.of(result)
            if result.status != "failed":
                known = result.model_copy(update={"cached": result.status == "scored"})
                self._hot.put(key, Answer.of(known), is_seldom_asked=flow.is_bulk)
            await time_slice.taken()
        return answers, outcomes


class NewStates:
    """Makes a store know what has come since, where a state is asked for that it does not know.

    A state may have been uploaded to another gateway of this data directory. Reading the indices of
    uploads may take seconds: it is done in a thread, once for all who ask meanwhile.

    Args:
        store: The states.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._looking: asyncio.Task[None] | None = None

    async def meet(self, state_ids: Iterable[str]) -> None:
        """Returns when the store knows the states, or there are none such."""
        if all(self._store.knows(state_id) for state_id in state_ids):
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._store.look_again))
        await asyncio.shield(self._looking)


async def _keys(request: ScoreRequest) -> list[AnswerKey]:
    """The keys of a request's answers; those of many decisions take long to write down."""
    terms, time_slice = terms_of(request), TimeSlice()
    keys = []
    for item in request.items:
        keys.append(answer_key(terms, item))
        if item.decisions is not None:
            await time_slice.taken()
    return keys
