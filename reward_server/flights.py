"""Equal work once: what several callers want is looked up, rolled out and recorded one time.

A *flight* is a piece of work on its way. Whoever wants the same joins it instead of starting
another, be it in the same request or in a concurrent one.
"""

import asyncio
import math
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from reward_server.recorder import Recorder
from reward_server.runner import RolloutRunner
from reward_server.storage.ledger import Entry, Ledger
from shared.errors import DeadlineExceeded, GreenforkError, RolloutError, WorkerLost
from shared.rewards import Metrics
from sim_workers.rollouts import RolloutTask

__all__ = ["Fetched", "Flights", "Outcome", "check_finite"]


@dataclass(frozen=True)
class Outcome:
    """Metrics, or why there are none."""

    metrics: Metrics | None = None
    error: GreenforkError | None = None
    is_recorded: bool = False
    """Whether the ledger knew it before."""


@dataclass
class Fetched:
    """What one request got."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By key."""
    rollouts: int = 0
    """Rollouts that were started for this request."""
    joins: int = 0
    """Pieces of work that another request had begun."""

    @property
    def ledger_hits(self) -> int:
        """Outcomes that the ledger knew."""
        return sum(outcome.is_recorded for outcome in self.outcomes.values())


@dataclass(frozen=True)
class _Flight:
    landed: asyncio.Future[Outcome]
    deadline: float


class Flights:
    """Looks work up in the ledger and has the rest rolled out.

    Deadlines are times of the running loop's clock.

    Args:
        runner: Computes what the ledger does not know.
        ledger: Looked up before, and written before anybody is answered.
        simulator: Noted in each outcome, ``sumo 1.28.0``.
    """

    def __init__(self, runner: RolloutRunner, ledger: Ledger, simulator: str) -> None:
        self._runner = runner
        self._ledger = ledger
        self._recorder = Recorder(ledger)
        self._simulator = simulator
        self._flights: dict[str, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(self, work: Mapping[str, RolloutTask], deadline: float) -> Fetched:
        """The outcomes of the work, each one by ``deadline`` at the latest.

        Args:
            work: Tasks by key.
            deadline: When what is not done counts as :class:`DeadlineExceeded`.
        """
        fetched = Fetched()
        joined = {key: self._flights[key] for key in work if key in self._flights}
        own = self._take_off({k: work[k] for k in work if k not in joined}, deadline, fetched)
        fetched.joins = len(joined)
        rejoined = [self._join(key, work[key], joined[key], deadline, fetched) for key in joined]
        await asyncio.gather(_landed(own.values(), deadline), *rejoined)
        fetched.outcomes |= {key: _outcome(flight) for key, flight in own.items()}
        return fetched

    async def close(self) -> None:
        """Ends what is on its way; whoever waits for it is told so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._recorder.close()
        for key, flight in list(self._flights.items()):
            self._land(key, flight, _ENDED)

    async def _join(
        self, key: str, task: RolloutTask, flight: _Flight, deadline: float, fetched: Fetched
    ) -> None:
        """Waits for another request's flight; begins again where only its deadline ended it."""
        await _landed([flight], deadline)
        outcome = _outcome(flight)
        has_time_left = asyncio.get_running_loop().time() < deadline
        if has_time_left and isinstance(outcome.error, DeadlineExceeded):
            again = await self.fetch({key: task}, deadline)
            fetched.rollouts += again.rollouts
            outcome = again.outcomes[key]
        fetched.outcomes[key] = outcome

    def _take_off(
        self, work: Mapping[str, RolloutTask], deadline: float, fetched: Fetched
    ) -> dict[str, _Flight]:
        """Begins flights. They go on even if whoever asked for them stops waiting."""
        if not work:
            return {}
        loop = asyncio.get_running_loop()
        own = {key: _Flight(loop.create_future(), deadline) for key in work}
        self._flights |= own
        self._spawn(self._look_up(work, own, fetched))
        return own

    async def _look_up(
        self, work: Mapping[str, RolloutTask], own: Mapping[str, _Flight], fetched: Fetched
    ) -> None:
        known: dict[str, Metrics] = {}
        failure: Outcome | None = _ENDED
        try:
            known = await self._ledger.get_many(list(work))
            failure = None
        except GreenforkError as exc:
            failure = Outcome(error=exc)
        finally:
            for key in work if failure else ():
                self._land(key, own[key], failure or _ENDED)
        if failure:
            return
        for key, metrics in known.items():
            self._land(key, own[key], Outcome(metrics, is_recorded=True))
        for key, task in work.items():
            if key not in known:
                fetched.rollouts += 1
                self._spawn(self._fly(key, task, own[key]))

    async def _fly(self, key: str, task: RolloutTask, flight: _Flight) -> None:
        outcome = _ENDED
        try:
            outcome = await self._roll_out(key, task, flight.deadline)
        finally:
            self._land(key, flight, outcome)

    async def _roll_out(self, key: str, task: RolloutTask, deadline: float) -> Outcome:
        timeout_s = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline):
                metrics = await self._runner.run(task, timeout_s)
            check_finite(metrics)
            await self._recorder.record(Entry(key, task, metrics, self._simulator))
        except TimeoutError:
            return _LATE
        except GreenforkError as exc:
            return Outcome(error=exc)
        return Outcome(metrics)

    def _land(self, key: str, flight: _Flight, outcome: Outcome) -> None:
        self._flights.pop(key, None)
        if not flight.landed.done():
            flight.landed.set_result(outcome)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOG.error("unexpected", exc_info=error)


_LATE = Outcome(
    error=DeadlineExceeded("the request's timeout_s passed before the rollout was done")
)
_ENDED = Outcome(error=WorkerLost("the gateway ended the rollout", "rollout_ended"))
_LOG = structlog.get_logger("reward_server")


def check_finite(metrics: Metrics) -> None:
    """Refuses metrics that no reward may be made of.

    Raises:
        RolloutError: ``not_finite``.
    """
    for name, value in metrics:
        if isinstance(value, float) and not math.isfinite(value):
            raise RolloutError(f"the rollout's {name} is {value}", "not_finite")


async def _landed(flights: Iterable[_Flight], deadline: float) -> None:
    """Returns when all have landed, or at the deadline."""
    pending = {flight.landed for flight in flights if not flight.landed.done()}
    if pending:
        await asyncio.wait(pending, timeout=max(0, deadline - asyncio.get_running_loop().time()))


def _outcome(flight: _Flight) -> Outcome:
    return flight.landed.result() if flight.landed.done() else _LATE
