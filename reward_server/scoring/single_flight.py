"""Single flight: work that several callers want is looked up, rolled out and recorded once.

A *call* is a rollout that somebody waits for. A caller that wants the same rollout joins the call
instead of starting another, whether in the same request or in a concurrent one. A call ends with an
outcome, or when nobody waits for it any more.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from opentelemetry.trace import NoOpTracer, Status, StatusCode, Tracer

from reward_server.storage.ledger import Ledger, Recorded, is_at_odds, lacks_delay
from shared.errors import DeadlineExceeded, GreenforkError, RolloutError, WorkerLost
from shared.rewards import DomainMetrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.pool.fair_queue import Flow, PoolStats
from sim_workers.pool.tasks import Task

__all__ = ["RolloutRunner", "SingleFlight", "Work", "check_finite", "found_in"]

Work = Rollout | Task
"""What is computed: a rollout, or another domain's task."""

_NO_TRACER = NoOpTracer()


class RolloutRunner(Protocol):
    """What the gateway needs from a component that computes rollouts, such as the worker pool."""

    async def run(self, rollout: Work, flow: Flow) -> RolloutOutcome:
        """The outcome of a rollout within its limit, waiting included. Cancelling ends the work."""

    def promote(self, rollouts: Set[Work], flow: Flow) -> None:
        """Moves those of the rollouts that are still waiting to another flow, of more weight."""

    def stats(self) -> PoolStats:
        """What the runner is currently doing."""


@dataclass(eq=False)
class _Call:
    """A rollout that somebody waits for."""

    key: str
    rollout: Work
    done: asyncio.Future[RolloutOutcome]
    deadline: float
    flow: Flow
    needs_delay: bool
    """Whether an outcome recorded without ``delay_veh`` is not enough."""
    incomplete: Recorded | None = None
    """Such an outcome, if there is one, which will be replaced."""
    waiters: int = 0
    work: asyncio.Task[None] | None = None
    """The task that computes it, once it is known that it must be computed."""


class SingleFlight:
    """Looks rollouts up in the ledger and has the rest computed.

    Deadlines are times on the running loop's clock. Work that nobody waits for any more, because
    all deadlines have passed or all callers have gone, is ended.

    Args:
        runner: Computes what the ledger does not know.
        ledger: Read before anything is computed, and written before anybody is answered.
        simulator: Name and version noted in each outcome, such as ``sumo 1.28.0``.
        tracer: Makes a span of every rollout.
    """

    def __init__(
        self,
        runner: RolloutRunner,
        ledger: Ledger,
        simulator: str,
        tracer: Tracer = _NO_TRACER,
    ) -> None:
        self._runner = runner
        self._ledger = ledger
        self._simulator = simulator
        self.observers: list[Callable[[RolloutOutcome], None]] = []
        """Called with the outcome of every computed rollout."""
        self._tracer = tracer
        self._calls: dict[str, _Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(
        self,
        rollouts: Mapping[str, Work],
        deadline: float,
        flow: Flow,
        request_id: str = "",
        needs_delay: bool = False,
    ) -> dict[str, RolloutOutcome]:
        """The outcomes of rollouts, each by ``deadline`` at the latest.

        Args:
            rollouts: The rollouts by key.
            deadline: When unfinished rollouts fail with :class:`DeadlineExceeded`.
            flow: The flow whose share of the workers is used.
            request_id: Who asks, for the logs.
            needs_delay: Whether what was recorded without ``delay_veh``, before there was this
                metric, is rolled out again.
        """
        joined = {key: self._calls[key] for key in rollouts if key in self._calls}
        self._promote(joined.values(), flow)
        named = {"request_id": request_id}
        new: dict[str, Work] = {
            k: r.model_copy(update=named) for k, r in rollouts.items() if k not in joined
        }
        own = self._start(new, deadline, flow, needs_delay)
        with self._waiting_for([*own.values(), *joined.values()]):
            joins = [
                self._join(call, deadline, flow, request_id, needs_delay)
                for call in joined.values()
            ]
            own_done = _all_done(own.values(), deadline)
            _, shared = await asyncio.gather(own_done, asyncio.gather(*joins))
        outcomes = {key: _outcome(call) for key, call in own.items()}
        return outcomes | dict(zip(joined, shared, strict=True))

    async def ended(self, keys: Iterable[str]) -> None:
        """Returns when those of the rollouts that are under way have ended and are recorded."""
        done = {self._calls[key].done for key in keys if key in self._calls}
        if done:
            await asyncio.wait(done)

    async def close(self) -> None:
        """Ends all work under way; its callers get an error."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in list(self._calls.values()):
            self._finish(call, _ENDED)

    async def _join(
        self, call: _Call, deadline: float, flow: Flow, request_id: str, needs_delay: bool
    ) -> RolloutOutcome:
        """Waits for another request's call.

        Starts the work again if only that request's deadline ended the call, or if that request
        was content with an outcome that lacks something needed here.
        """
        await _all_done([call], deadline)
        outcome, is_started = _outcome(call), False
        if needs_delay and outcome.metrics is not None and lacks_delay(outcome.metrics):
            outcome = _LATE
        has_time_left = asyncio.get_running_loop().time() < deadline
        if has_time_left and outcome.error and outcome.error.code == DeadlineExceeded.code:
            again = await self.fetch(
                {call.key: call.rollout}, deadline, flow, request_id, needs_delay
            )
            outcome = again[call.key]
            is_started = outcome.is_started
        others = {"is_joined": True, "is_started": is_started, "waited_s": 0.0, "ran_s": 0.0}
        return outcome.model_copy(update=others)

    def _promote(self, joined: Iterable[_Call], flow: Flow) -> None:
        """Gives work begun by a lighter flow, such as a bulk job, the turn of this flow."""
        lighter = [call for call in joined if call.flow.weight < flow.weight]
        for call in lighter:
            call.flow = flow
        if lighter:
            self._runner.promote({call.rollout for call in lighter}, flow)

    def _start(
        self, rollouts: Mapping[str, Work], deadline: float, flow: Flow, needs_delay: bool
    ) -> dict[str, _Call]:
        if not rollouts:
            return {}
        loop = asyncio.get_running_loop()
        own = {
            key: _Call(key, rollout, loop.create_future(), deadline, flow, needs_delay)
            for key, rollout in rollouts.items()
        }
        self._calls |= own
        self._spawn(self._look_up(own))
        return own

    async def _look_up(self, own: Mapping[str, _Call]) -> None:
        known: dict[str, Recorded] = {}
        failure: RolloutOutcome | None = _ENDED
        try:
            known = await self._ledger.get_many(list(own))
            failure = None
        except GreenforkError as exc:
            failure = RolloutOutcome.failed(exc)
        finally:
            for call in own.values() if failure else ():
                self._finish(call, failure or _ENDED)
        if failure:
            return
        for number, (key, call) in enumerate(own.items()):
            if number % _STARTED_TOGETHER == _STARTED_TOGETHER - 1:
                await asyncio.sleep(0)
            metrics = known.get(key)
            if metrics is not None and call.needs_delay and lacks_delay(metrics):
                call.incomplete, metrics = metrics, None
            if metrics is not None:
                self._finish(call, _recorded(metrics))
            elif call.waiters == 0:
                self._finish(call, _LATE)
            else:
                call.work = self._spawn(self._run(call))

    async def _run(self, call: _Call) -> None:
        outcome = _ENDED
        try:
            outcome = await self._roll_out(call)
        finally:
            self._finish(call, outcome)

    async def _roll_out(self, call: _Call) -> RolloutOutcome:
        outcome = await self._traced(call)
        if outcome.error is not None:
            return outcome
        for observe in self.observers:
            observe(outcome)
        try:
            metrics = found_in(outcome)
            check_finite(metrics)
            if call.incomplete is not None:
                if is_at_odds(call.incomplete, metrics):
                    _LOG.error("outcome_differed", key=call.key, state=call.rollout.state_id)
                await self._ledger.withdraw([call.key])
            await self._ledger.record(
                call.key, call.rollout, metrics, self._simulator, outcome.made_by
            )
        except GreenforkError as exc:
            return outcome.model_copy(update={"metrics": None, "error": ErrorInfo.of(exc)})
        return outcome

    async def _traced(self, call: _Call) -> RolloutOutcome:
        """The outcome of a rollout, traced as a span of the request that asked first."""
        left_s = call.deadline - asyncio.get_running_loop().time()
        rollout = call.rollout = call.rollout.model_copy(update={"limit_s": left_s})
        about: dict[str, str | int] = {
            "greenfork.state_id": rollout.state_id,
            "greenfork.horizon_s": rollout.horizon_s,
            "greenfork.request_id": rollout.request_id,
        }
        with self._tracer.start_as_current_span("rollout", attributes=about) as span:
            outcome = await self._runner.run(rollout, call.flow)
            if outcome.error is not None:
                span.set_status(Status(StatusCode.ERROR, outcome.error.message))
            else:
                span.set_attribute("greenfork.queued_s", outcome.waited_s)
                span.set_attribute("greenfork.simulated_s", outcome.ran_s)
        return outcome

    @contextmanager
    def _waiting_for(self, calls: Sequence[_Call]) -> Iterator[None]:
        """Counts one more waiter for the calls; afterwards, calls without any waiter end."""
        for call in calls:
            call.waiters += 1
        try:
            yield
        finally:
            for call in calls:
                call.waiters -= 1
                if call.waiters == 0 and call.work is not None and not call.done.done():
                    call.work.cancel()
                    self._drop(call)

    def _drop(self, call: _Call) -> None:
        """Forgets a call, so that the next caller wanting the same starts another."""
        if self._calls.get(call.key) is call:
            del self._calls[call.key]

    def _finish(self, call: _Call, outcome: RolloutOutcome) -> None:
        self._drop(call)
        if not call.done.done():
            call.done.set_result(outcome)

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


_STARTED_TOGETHER = 64
"""Rollouts started before other tasks get their turn on the event loop."""
_LATE = RolloutOutcome.failed(
    DeadlineExceeded("the request's timeout_s passed before the rollout was done")
)
_ENDED = RolloutOutcome.failed(WorkerLost("the gateway cancelled the rollout", "rollout_ended"))
_LOG = structlog.get_logger("reward_server")


def found_in(outcome: RolloutOutcome) -> Recorded:
    """The metrics in an outcome, of any domain.

    Raises:
        GreenforkError: The work failed.
    """
    return outcome.unwrap() if outcome.numbers is None else outcome.numbers


def _recorded(metrics: Recorded) -> RolloutOutcome:
    if isinstance(metrics, DomainMetrics):
        return RolloutOutcome(numbers=metrics, is_recorded=True)
    return RolloutOutcome(metrics=metrics, is_recorded=True)


def check_finite(metrics: Recorded) -> None:
    """Refuses metrics from which no reward may be computed.

    Raises:
        RolloutError: ``not_finite``.
    """
    values: Iterable[tuple[str, object]]
    if isinstance(metrics, DomainMetrics):
        values = metrics.root.items()
    else:
        values = (*metrics, *(metrics.custom or {}).items())
    for name, value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise RolloutError(f"the rollout's {name} is {value}", "not_finite")


async def _all_done(calls: Iterable[_Call], deadline: float) -> None:
    """Returns when all calls have an outcome, or at the deadline."""
    pending = {call.done for call in calls if not call.done.done()}
    if pending:
        await asyncio.wait(pending, timeout=max(0, deadline - asyncio.get_running_loop().time()))


def _outcome(call: _Call) -> RolloutOutcome:
    """The outcome for the request that started the call."""
    outcome = call.done.result() if call.done.done() else _LATE
    return outcome if call.work is None else outcome.model_copy(update={"is_started": True})
