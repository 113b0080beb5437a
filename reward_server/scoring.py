"""Scoring a request: items in, results out, in the same order."""

import asyncio
import math
from dataclasses import dataclass

from reward_server.candidates import Candidate, Work, read_item, work_of
from reward_server.flights import Fetched, Flights, Outcome
from shared.errors import DeadlineExceeded, ErrorInfo, GreenforkError, RolloutError
from shared.scoring import Counts, ScoreRequest, ScoreResponse, ScoreResult
from shared.states import Simulator
from sim_workers.rewards import reward_of
from sim_workers.store import StateStore

__all__ = ["Scored", "Scorer"]


@dataclass(frozen=True)
class Scored:
    """The response, and what it took."""

    response: ScoreResponse
    ledger_hits: int
    """Distinct outcomes that the ledger knew."""
    joins: int
    """Distinct outcomes that another request was already waiting for."""


class Scorer:
    """Scores requests.

    Args:
        store: The states that can be scored on.
        flights: Where outcomes come from.
        simulator: The program that computes them.
    """

    def __init__(self, store: StateStore, flights: Flights, simulator: Simulator) -> None:
        self._store = store
        self._flights = flights
        self._simulator = simulator

    async def score(self, request: ScoreRequest) -> Scored:
        """Scores every item, or says of it why not.

        Raises:
            UnknownState: An item names a state that is not served.
            UnknownSignal: An item names a signal that its state does not have.
            DeadlineExceeded: Not one item was done in time.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        candidates = [read_item(item, self._store) for item in request.items]
        works = [
            None if c.error else work_of(c, request.reward, self._simulator.version)
            for c in candidates
        ]
        tasks = {key: task for work in works if work for key, task in work.tasks().items()}
        fetched = await self._flights.fetch(tasks, deadline)
        results = tuple(
            _result(request, candidate, work, fetched)
            for candidate, work in zip(candidates, works, strict=True)
        )
        _refuse_if_all_late(results, request.timeout_s)
        return Scored(
            ScoreResponse(
                results=results,
                counts=Counts.of(results, fetched.rollouts),
                simulator=self._simulator,
            ),
            ledger_hits=sum(o.is_recorded for o in fetched.outcomes.values()),
            joins=fetched.joins,
        )


def _result(
    request: ScoreRequest, candidate: Candidate, work: Work | None, fetched: Fetched
) -> ScoreResult:
    if candidate.error is not None:
        return ScoreResult(
            id=candidate.item.id,
            status="invalid",
            reward=request.reward.invalid_reward,
            decision=candidate.decision,
            restore=candidate.state.record.restore_over(request.reward.horizon_s),
            error=ErrorInfo.of(candidate.error),
        )
    assert work is not None, "a legal candidate has work"  # noqa: S101
    own = fetched.outcomes[work.own[0]]
    reference = fetched.outcomes[work.reference[0]] if work.reference else None
    error = own.error or (reference.error if reference else None)
    if error is not None:
        return _failed(request, candidate, error)
    return _scored(request, candidate, own, reference)


def _scored(
    request: ScoreRequest, candidate: Candidate, own: Outcome, reference: Outcome | None
) -> ScoreResult:
    metrics = own.metrics
    assert metrics is not None, "an outcome has metrics or an error"  # noqa: S101
    reward = reward_of(request.reward, metrics, reference.metrics if reference else None)
    if not math.isfinite(reward):
        return _failed(request, candidate, RolloutError(f"the reward is {reward}", "not_finite"))
    return ScoreResult(
        id=candidate.item.id,
        status="scored",
        reward=reward,
        decision=candidate.decision,
        metrics=metrics if request.series else metrics.model_copy(update={"series": None}),
        cached=own.is_recorded and (reference is None or reference.is_recorded),
        restore=candidate.state.record.restore_over(request.reward.horizon_s),
    )


def _failed(request: ScoreRequest, candidate: Candidate, error: GreenforkError) -> ScoreResult:
    return ScoreResult(
        id=candidate.item.id,
        status="failed",
        reward=None,
        decision=candidate.decision,
        restore=candidate.state.record.restore_over(request.reward.horizon_s),
        error=ErrorInfo.of(error),
    )


def _refuse_if_all_late(results: tuple[ScoreResult, ...], timeout_s: float) -> None:
    if all(r.error is not None and r.error.code == DeadlineExceeded.code for r in results):
        raise DeadlineExceeded(f"no item was done within timeout_s = {timeout_s:g}")
