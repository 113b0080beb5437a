"""Scoring a request: items in, results out, in the same order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from reward_server.appraisals import Appraisal, appraise
from reward_server.candidates import Candidate, read_item
from reward_server.flights import Fetched, Flights
from reward_server.work import Work, work_of
from shared.errors import DeadlineExceeded, ErrorInfo, GreenforkError
from shared.scoring import Counts, ScoreRequest, ScoreResponse, ScoreResult
from shared.states import Simulator
from sim_workers.store import StateStore

__all__ = ["Scored", "Scorer"]


@dataclass(frozen=True)
class Scored:
    """The response, and what it took."""

    response: ScoreResponse
    fetched: Fetched


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
        works = [self._work(request, candidate) for candidate in candidates]
        tasks = {key: task for work in works if work for key, task in work.tasks().items()}
        fetched = await self._flights.fetch(tasks, deadline)
        results = [
            _result(request, candidate, work, fetched)
            for candidate, work in zip(candidates, works, strict=True)
        ]
        _refuse_if_all_late(results, request.timeout_s)
        response = ScoreResponse(
            results=tuple(results),
            counts=Counts.of(results, fetched.rollouts),
            simulator=self._simulator,
        )
        return Scored(response, fetched)

    def _work(self, request: ScoreRequest, candidate: Candidate) -> Work | None:
        """The rollouts of a legal candidate; None of another."""
        if candidate.error is not None:
            return None
        task = candidate.task(request.reward)
        return work_of(task, candidate.state, request.reward, self._simulator.version)


def _result(
    request: ScoreRequest, candidate: Candidate, work: Work | None, fetched: Fetched
) -> ScoreResult:
    if candidate.error is not None:
        return _without_reward(request, candidate, candidate.error)
    assert work is not None, "a legal candidate has work"  # noqa: S101
    appraisal = appraise(work, request.reward, fetched.outcomes)
    if isinstance(appraisal, Appraisal):
        return _scored(request, candidate, appraisal)
    return _without_reward(request, candidate, appraisal)


def _scored(request: ScoreRequest, candidate: Candidate, appraisal: Appraisal) -> ScoreResult:
    return ScoreResult(
        id=candidate.item.id,
        status="scored",
        reward=appraisal.reward,
        reward_stderr=appraisal.stderr,
        seeds=appraisal.seeds,
        decision=candidate.decision,
        decisions=candidate.item.decisions,
        metrics=appraisal.shown_metrics(request.series),
        cached=appraisal.is_cached,
        restore=candidate.restore(request.reward),
    )


def _without_reward(
    request: ScoreRequest, candidate: Candidate, error: GreenforkError
) -> ScoreResult:
    """An invalid item's result, or that of an item that could not be computed."""
    is_invalid = error is candidate.error
    return ScoreResult(
        id=candidate.item.id,
        status="invalid" if is_invalid else "failed",
        reward=request.reward.invalid_reward if is_invalid else None,
        decision=candidate.decision,
        decisions=candidate.item.decisions,
        restore=candidate.restore(request.reward),
        error=ErrorInfo.of(error),
    )


def _refuse_if_all_late(results: Sequence[ScoreResult], timeout_s: float) -> None:
    if all(r.error is not None and r.error.code == DeadlineExceeded.code for r in results):
        raise DeadlineExceeded(f"no item was done within timeout_s = {timeout_s:g}")
