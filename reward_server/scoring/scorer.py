"""Scoring a request: items in, results out, in the same order."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property

from reward_server.domains.base import Computed, Domain, Terms
from reward_server.domains.scoring import unknown_domain
from reward_server.event_loop import TimeSlice
from reward_server.scoring.response_cache import (
    Answer,
    AnswerKey,
    ResponseCache,
    answer_key,
    domain_of,
    terms_of,
)
from shared.errors import DeadlineExceeded
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Counts, Item, ScoreItem, ScoreRequest, ScoreResponse
from shared.wire.states import Simulator
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow

__all__ = ["ScoredRequest", "Scorer"]


@dataclass(frozen=True)
class ScoredRequest:
    """The answers to a request, in the order of its items, and the work that they took."""

    request: ScoreRequest
    answers: tuple[Answer, ...]
    outcomes: Mapping[str, RolloutOutcome]
    """Outcomes from which the answers that were not in memory were made, by key."""
    hot_hits: int
    """Number of items answered from memory."""
    simulator: Simulator

    @cached_property
    def counts(self) -> Counts:
        """Counts of the items by what became of them."""
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
        """The response as JSON, put together from the items' texts."""
        pairs = zip(self.request.items, self.answers, strict=True)
        results = b",".join([answer.json(item.id) for item, answer in pairs])
        counts, simulator = self.counts.model_dump_json(), self.simulator.model_dump_json()
        rest = f'],"counts":{counts},"simulator":{simulator}}}'
        return b'{"results":[' + results + rest.encode()


class Scorer:
    """Scores requests.

    Args:
        domains: The domains by name; items that name none belong to ``traffic``.
        simulator: The simulator for traffic.
        hot: The cache of answers.
    """

    def __init__(
        self, domains: Mapping[str, Domain], simulator: Simulator, hot: ResponseCache
    ) -> None:
        self._domains = domains
        self._simulator = simulator
        self._hot = hot

    async def score(
        self,
        request: ScoreRequest,
        flow: Flow,
        request_id: str = "",
        around: Callable[[Coroutine[None, None, Computed]], Awaitable[Computed]] | None = None,
    ) -> ScoredRequest:
        """Scores every item, or gives the reason why not. Cancelling the call ends the work.

        Args:
            request: What to score.
            flow: The flow whose share of the workers is used.
            request_id: For the logs of every process involved.
            around: Awaits the work, if there is any because not all answers are in memory.

        Raises:
            RequestError: An item names something not served, or its domain has no such reward.
            DeadlineExceeded: No item was done in time.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        keys = await _keys(request)
        found = [self._hot.get(key) for key in keys]
        answers = [answer for answer in found if answer]
        hot_hits, outcomes = len(answers), dict[str, RolloutOutcome]()
        if hot_hits < len(keys):
            asked = zip(keys, request.items, found, strict=True)
            missing = {key: item for key, item, answer in asked if not answer}
            work = self._compute(missing, Terms(request, deadline, flow, request_id))
            computed, outcomes = await (around(work) if around else work)
            answers = [known or computed[key] for key, known in zip(keys, found, strict=True)]
        if all(answer.code == DeadlineExceeded.code for answer in answers):
            raise DeadlineExceeded(f"no item finished within timeout_s = {request.timeout_s:g}")
        return ScoredRequest(request, tuple(answers), outcomes, hot_hits, self._simulator)

    async def _compute(self, items: Mapping[AnswerKey, Item], terms: Terms) -> Computed:
        """Computes the answers that are not in memory and caches them; domains work in parallel."""
        by_domain: dict[str, dict[AnswerKey, Item]] = {}
        for key, item in items.items():
            by_domain.setdefault(domain_of(item), {})[key] = item
        parts = [self._domain(name).compute(own, terms) for name, own in by_domain.items()]
        answers: dict[AnswerKey, Answer] = {}
        outcomes: dict[str, RolloutOutcome] = {}
        for found, behind in await asyncio.gather(*parts):
            answers |= found
            outcomes |= behind
        for key, answer in answers.items():
            if answer.status != "failed":
                self._hot.put(key, answer.known(), is_seldom_asked=terms.flow.is_bulk)
        return answers, outcomes

    def check(self, item: Item, spec: JobSpec) -> None:
        """Checks that an item names something served, and that its domain has what is asked for.

        Raises:
            RequestError: One of these is not so.
        """
        self._domain(domain_of(item)).check(item, spec)

    def _domain(self, name: str) -> Domain:
        if name not in self._domains:
            raise unknown_domain(name, self._domains)
        return self._domains[name]


async def _keys(request: ScoreRequest) -> list[AnswerKey]:
    """The keys of a request's answers; for many decisions, writing them takes long."""
    terms, time_slice = terms_of(request), TimeSlice()
    keys = []
    for item in request.items:
        keys.append(answer_key(terms, item))
        if isinstance(item, ScoreItem) and item.decisions is not None:
            await time_slice.taken()
    return keys
