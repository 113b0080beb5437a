"""Equal work once: what several callers want is looked up, rolled out and recorded one time.

A *flight* is a piece of work on its way. Whoever wants the same joins it instead of starting
another, be it in the same request or in a concurrent one. A flight lands with an outcome, or ends
when nobody waits for it any more.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from opentelemetry.trace import NoOpTracer, Tracer

from reward_server.runner import RolloutRunner
from reward_server.storage.ledger import Ledger, LedgerEntry
from reward_server.storage.recorder import Recorder
from shared.errors import DeadlineExceeded, GreenforkError, RolloutError, WorkerLost
from shared.rewards import Metrics
from sim_workers.pool.fair_queue import Purpose
from sim_workers.pool.rollouts import Rolled, RolloutTask

__all__ = ["Fetched", "RolloutOutcome", "SingleFlight", "check_finite"]

_NO_TRACER = NoOpTracer()


@dataclass(frozen=True)
class RolloutOutcome:
    """Metrics, or why there are none."""

    metrics: Metrics | None = None
    error: GreenforkError | None = None
    is_recorded: bool = False
    """Whether the ledger knew it before."""


@dataclass
class Fetched:
    """What one request got."""

    outcomes: dict[str, RolloutOutcome] = field(default_factory=dict)
    """By key."""
    rollouts: int = 0
    """Rollouts that were started for this request."""
    joins: int = 0
    """Pieces of work that another request had begun."""
    queued_s: float = 0.0
    """The longest that one of those rollouts waited for a worker, wall-clock seconds."""
    simulated_s: float = 0.0
    """What workers spent on them, wall-clock seconds."""

    @property
    def ledger_hits(self) -> int:
        """Outcomes that the ledger knew."""
        return sum(outcome.is_recorded for outcome in self.outcomes.values())

    def note(self, rolled: Rolled) -> None:
        """Adds what one rollout took."""
        self.queued_s = max(self.queued_s, rolled.waited_s)
        self.simulated_s += rolled.ran_s


@dataclass(eq=False)
class _Call:
    """A piece of work on its way, for as long as somebody waits for it."""

    key: str
    task: RolloutTask
    landed: asyncio.Future[RolloutOutcome]
    deadline: float
    purpose: Purpose
    waiters: int = 0
    work: asyncio.Task[None] | None = None
    """What computes it, once it is known that it must be computed."""


class SingleFlight:
    """Looks work up in the ledger and has the rest rolled out.

    Deadlines are times of the running loop's clock. Work that nobody waits for any more, because
    all deadlines have passed or all callers have gone, is ended.

    Args:
        runner: Computes what the ledger does not know.
        ledger: Looked up before, and written before anybody is answered.
        simulator: Noted in each outcome, ``sumo 1.28.0``.
        observe: Told of every rollout that was computed.
        tracer: Makes a span of every rollout.
    """

    def __init__(
        self,
        runner: RolloutRunner,
        ledger: Ledger,
        simulator: str,
        observe: Callable[[RolloutTask, Rolled], None] = lambda task, rolled: None,
        tracer: Tracer = _NO_TRACER,
    ) -> None:
        self._runner = runner
        self._ledger = ledger
        self._recorder = Recorder(ledger)
        self._simulator = simulator
        self._observe = observe
        self._tracer = tracer
        self._calls: dict[str, _Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(
        self, work: Mapping[str, RolloutTask], deadline: float, purpose: Purpose
    ) -> Fetched:
        """The outcomes of the work, each one by ``deadline`` at the latest.

        Args:
            work: Tasks by key.
            deadline: When what is not done counts as :class:`DeadlineExceeded`.
            purpose: What it is wanted for.
        """
        fetched = Fetched()
        joined = {key: self._calls[key] for key in work if key in self._calls}
        fetched.joins = len(joined)
        self._promote(joined.values(), purpose)
        own = self._start({k: work[k] for k in work if k not in joined}, deadline, purpose, fetched)
        with self._waiting_for([*own.values(), *joined.values()]):
            rejoined = [self._join(key, joined[key], deadline, purpose, fetched) for key in joined]
            await asyncio.gather(_landed(own.values(), deadline), *rejoined)
        fetched.outcomes |= {key: _outcome(call) for key, call in own.items()}
        return fetched

    async def close(self) -> None:
        """Ends what is on its way; whoever waits for it is told so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._recorder.close()
        for call in list(self._calls.values()):
            self._land(call, _ENDED)

    async def _join(
        self, key: str, call: _Call, deadline: float, purpose: Purpose, fetched: Fetched
    ) -> None:
        """Waits for another request's flight; begins again where only its deadline ended it."""
        await _landed([call], deadline)
        outcome = _outcome(call)
        has_time_left = asyncio.get_running_loop().time() < deadline
        if has_time_left and isinstance(outcome.error, DeadlineExceeded):
            again = await self.fetch({key: call.task}, deadline, purpose)
            fetched.rollouts += again.rollouts
            outcome = again.outcomes[key]
        fetched.outcomes[key] = outcome

    def _promote(self, joined: Iterable[_Call], purpose: Purpose) -> None:
        """Lets what a lighter flow has begun, as a bulk job is, have the turn of this one."""
        lighter = [f for f in joined if f.purpose.flow.weight < purpose.flow.weight]
        for call in lighter:
            call.purpose = purpose
        if lighter:
            self._runner.promote({call.task for call in lighter}, purpose.flow)

    def _start(
        self,
        work: Mapping[str, RolloutTask],
        deadline: float,
        purpose: Purpose,
        fetched: Fetched,
    ) -> dict[str, _Call]:
        """Begins flights."""
        if not work:
            return {}
        loop = asyncio.get_running_loop()
        own = {
            key: _Call(key, task, loop.create_future(), deadline, purpose)
            for key, task in work.items()
        }
        self._calls |= own
        self._spawn(self._look_up(own, fetched))
        return own

    async def _look_up(self, own: Mapping[str, _Call], fetched: Fetched) -> None:
        known: dict[str, Metrics] = {}
        failure: RolloutOutcome | None = _ENDED
        try:
            known = await self._ledger.get_many(list(own))
            failure = None
        except GreenforkError as exc:
            failure = RolloutOutcome(error=exc)
        finally:
            for call in own.values() if failure else ():
                self._land(call, failure or _ENDED)
        if failure:
            return
        for number, (key, call) in enumerate(own.items()):
            if number % _BEGUN_TOGETHER == _BEGUN_TOGETHER - 1:
                await asyncio.sleep(0)
            if key in known:
                self._land(call, RolloutOutcome(known[key], is_recorded=True))
            elif call.waiters == 0:
                self._land(call, _LATE)
            else:
                fetched.rollouts += 1
                call.work = self._spawn(self._run(call, fetched))

    async def _run(self, call: _Call, fetched: Fetched) -> None:
        outcome = _ENDED
        try:
            outcome = await self._roll_out(call, fetched)
        finally:
            self._land(call, outcome)

    async def _roll_out(self, call: _Call, fetched: Fetched) -> RolloutOutcome:
        task = call.task
        timeout_s = call.deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(call.deadline):
                rolled = await self._traced(call, timeout_s)
            fetched.note(rolled)
            self._observe(task, rolled)
            check_finite(rolled.metrics)
            await self._recorder.record(
                LedgerEntry(call.key, task, rolled.metrics, self._simulator)
            )
        except TimeoutError:
            return _LATE
        except GreenforkError as exc:
            return RolloutOutcome(error=exc)
        return RolloutOutcome(rolled.metrics)

    @contextmanager
    def _waiting_for(self, calls: Sequence[_Call]) -> Iterator[None]:
        """Somebody waits for the flights meanwhile; those that nobody waits for afterwards end."""
        for call in calls:
            call.waiters += 1
        try:
            yield
        finally:
            for call in calls:
                call.waiters -= 1
                if call.waiters == 0 and call.work is not None and not call.landed.done():
                    call.work.cancel()
                    self._drop(call)

    def _drop(self, call: _Call) -> None:
        """From now on, whoever wants the same begins another flight."""
        if self._calls.get(call.key) is call:
            del self._calls[call.key]

    def _land(self, call: _Call, outcome: RolloutOutcome) -> None:
        self._drop(call)
        if not call.landed.done():
            call.landed.set_result(outcome)

    async def _traced(self, call: _Call, timeout_s: float) -> Rolled:
        """The rollout, as a span of the request that asked first."""
        task, purpose = call.task, call.purpose
        about: dict[str, str | int] = {
            "greenfork.state_id": task.state_id,
            "greenfork.horizon_s": task.horizon_s,
            "greenfork.request_id": purpose.request_id,
        }
        with self._tracer.start_as_current_span("rollout", attributes=about) as span:
            rolled = await self._runner.run(task, timeout_s, purpose)
            span.set_attribute("greenfork.queued_s", rolled.waited_s)
            span.set_attribute("greenfork.simulated_s", rolled.ran_s)
        return rolled

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOG.error("unexpected", exc_info=error)


_BEGUN_TOGETHER = 64
"""Rollouts that are begun before others have their turn on the loop."""
_LATE = RolloutOutcome(
    error=DeadlineExceeded("the request's timeout_s passed before the rollout was done")
)
_ENDED = RolloutOutcome(error=WorkerLost("the gateway cancelled the rollout", "rollout_ended"))
_LOG = structlog.get_logger("reward_server")


def check_finite(metrics: Metrics) -> None:
    """Refuses metrics that no reward may be made of.

    Raises:
        RolloutError: ``not_finite``.
    """
    for name, value in metrics:
        if isinstance(value, float) and not math.isfinite(value):
            raise RolloutError(f"the rollout's {name} is {value}", "not_finite")


async def _landed(calls: Iterable[_Call], deadline: float) -> None:
    """Returns when all have landed, or at the deadline."""
    pending = {call.landed for call in calls if not call.landed.done()}
    if pending:
        await asyncio.wait(pending, timeout=max(0, deadline - asyncio.get_running_loop().time()))


def _outcome(call: _Call) -> RolloutOutcome:
    return call.landed.result() if call.landed.done() else _LATE
