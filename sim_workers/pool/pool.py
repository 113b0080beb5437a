"""The pool: rollouts from the gateway's event loop to Ray actors and back.

Owns routing (rollouts of one state go together, to a worker that holds it if one is free), turns
(see :mod:`sim_workers.pool.fair_queue`), supervision (a worker that dies is replaced), retries (its
rollouts go elsewhere) and cancellation (what nobody waits for any more is ended, not only
forgotten). A rollout is deterministic, so running it again is always right.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import Any

import ray
import structlog
from ray._private import ray_constants
from ray.exceptions import RayError

from shared.errors import (
    DeadlineExceeded,
    ErrorInfo,
    GreenforkError,
    RolloutError,
    WorkerLost,
)
from sim_workers.engine.version import sumo_version
from sim_workers.pool.actor import start_actor
from sim_workers.pool.fair_queue import Flow, FlowQueue, Purpose
from sim_workers.pool.rollouts import Rolled, RolloutTask
from sim_workers.pool.sources import check_end, source_of
from sim_workers.pool.worker import StateRef, WorkerLimits, WorkerOutcome
from sim_workers.pool.worker_inputs import bundle_of, ref_of, worker_rollout
from sim_workers.states.store import StateStore, StoredState

__all__ = ["PoolSettings", "PoolStats", "RolloutPool"]

_MAX_BATCH = 8.0
"""Rollouts of a minute and less that one call to a worker holds: few, so that nobody waits long for
a turn; enough that calls, of about a millisecond, cost little. Longer ones count for more."""
_MAX_ATTEMPTS = 3
_SUPERVISE_EVERY_S = 1.0
_FAREWELL_S = 5.0
_LOOPBACK = "127.0.0.1"
_OBJECT_STORE_BYTES = 256 * 1024 * 1024

_ANY_PURPOSE = Purpose()

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PoolSettings:
    """How many workers, where, and what each may use."""

    workers: int | None
    """None: one a CPU."""
    ray_address: str | None
    """None: start Ray in this process's tree."""
    rollout_timeout_s: float
    max_holders: int
    max_holder_memory_mb: int


@dataclass(frozen=True)
class PoolStats:
    """A glance at the pool."""

    workers: int
    busy: int
    queued: int
    """Rollouts that wait for a worker."""
    oldest_s: float
    """Seconds for which the oldest of them has been waiting; 0 where none waits."""
    holder_starts: int
    workers_lost: int
    retried: int
    """Rollouts sent again because their worker was lost."""


@dataclass(eq=False)
class _Pending:
    """A rollout that waits, or is under way."""

    task: RolloutTask
    state: StoredState
    ref: StateRef
    deadline_s: float
    purpose: Purpose
    done: asyncio.Future[Rolled]
    ticket: int
    since_s: float
    worker: "_Worker | None" = None
    """Who has it; None while it waits."""
    sent_s: float = 0.0
    attempts: int = 0


def _cost(pending: _Pending) -> float:
    return max(1.0, pending.task.horizon_s / 60)


@dataclass(eq=False)
class _Worker:
    """A living actor."""

    actor: Any
    simulations: set[str] = field(default_factory=set)
    """Keys of the simulations it was sent; it may have let some go."""
    scenarios: set[str] = field(default_factory=set)
    holder_starts: int = 0
    batch: list[_Pending] = field(default_factory=list)
    """What it is at."""


class RolloutPool:
    """Runs rollouts on Ray actors. Everything happens on one event loop."""

    def __init__(self, store: StateStore, settings: PoolSettings) -> None:
        self._store = store
        self._settings = settings
        self._limits = WorkerLimits(
            settings.rollout_timeout_s, settings.max_holders, settings.max_holder_memory_mb
        )
        self._workers: list[_Worker] = []
        self._queue: FlowQueue[_Pending] = FlowQueue(_cost)
        self._tickets = itertools.count(1)
        self._jobs: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._lost = self._retried = self._past_starts = 0
        self._is_dispatch_due = False

    async def start(self) -> None:
        """Starts or joins Ray and asks for workers. Returns before they are ready."""
        _start_ray(self._settings)
        self._spawn(self._supervise())

    async def close(self) -> None:
        """Ends the workers, and Ray where it was started here."""
        for worker in self._workers:
            worker.actor.cancel.remote([pending.ticket for pending in worker.batch])
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        farewells = [worker.actor.close.remote() for worker in self._workers]
        with contextlib.suppress(RayError, TimeoutError):
            await asyncio.wait_for(asyncio.gather(*farewells), _FAREWELL_S)
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()
        await asyncio.to_thread(ray.shutdown)

    def stats(self) -> PoolStats:
        """Counts, now and since the start."""
        now_s = time.monotonic()
        return PoolStats(
            workers=len(self._workers),
            busy=sum(bool(worker.batch) for worker in self._workers),
            queued=len(self._queue),
            oldest_s=max((now_s - pending.since_s for pending in self._queue), default=0.0),
            holder_starts=self._past_starts + sum(w.holder_starts for w in self._workers),
            workers_lost=self._lost,
            retried=self._retried,
        )

    async def run(
        self, task: RolloutTask, timeout_s: float, purpose: Purpose = _ANY_PURPOSE
    ) -> Rolled:
        """The outcome of a rollout. Cancelling the call ends the work.

        Args:
            task: What to roll out.
            timeout_s: Wall-clock seconds until the caller's deadline, which ends the work.
            purpose: Whose share of the workers it takes.

        Raises:
            UnknownState: The store has no such state.
            UnknownSignal: The state has no such signal.
            RolloutRejected: ``beyond_end``: its scenario's configuration ends before the horizon.
            RolloutError: It could not be computed; the class says why.
        """
        state = self._store.get(task.state_id)
        check_end(state, task.horizon_s)
        for tls_id in task.observe:
            state.signal(tls_id)
        pending = _Pending(
            task,
            state,
            ref_of(state, source_of(state, task), task.reseed),
            deadline_s=time.monotonic() + timeout_s,
            purpose=purpose,
            done=asyncio.get_running_loop().create_future(),
            ticket=next(self._tickets),
            since_s=time.monotonic(),
        )
        self._enqueue(pending)
        try:
            async with asyncio.timeout(timeout_s):
                return await pending.done
        except TimeoutError as exc:
            raise DeadlineExceeded(f"no answer within {timeout_s:g} s") from exc
        finally:
            self._forget(pending)

    def promote(self, tasks: Set[RolloutTask], flow: Flow) -> None:
        """Lets rollouts that still wait count for a flow of more weight, which wants them too."""
        for pending in [p for p in self._queue if p.task in tasks]:
            if flow.weight > pending.purpose.flow.weight and self._dequeue(pending):
                pending.purpose = replace(pending.purpose, flow=flow)
                self._enqueue(pending)

    def _enqueue(self, pending: _Pending) -> None:
        pending.worker = None
        if pending.purpose.is_urgent:
            self._queue.put_first(pending.ref.key, pending)
        else:
            self._queue.put(pending.purpose.flow, pending.ref.key, pending)
        self._dispatch_soon()

    def _dequeue(self, pending: _Pending) -> bool:
        return self._queue.remove(pending.purpose.flow, pending.ref.key, pending)

    def _forget(self, pending: _Pending) -> None:
        """Ends a rollout that nobody waits for, wherever it is."""
        if pending.done.done() and not pending.done.cancelled():
            return
        if not self._dequeue(pending) and pending.worker is not None:
            with contextlib.suppress(RayError):
                pending.worker.actor.cancel.remote([pending.ticket])

    def _dispatch_soon(self) -> None:
        """Dispatches once the rollouts that arrive in this turn of the loop are all there."""
        if not self._is_dispatch_due:
            self._is_dispatch_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_dispatch_due = False
        while idle := [worker for worker in self._workers if not worker.batch]:
            taken = self._queue.take(_MAX_BATCH)
            if taken is None:
                return
            key, batch = taken
            worker = min(idle, key=lambda w: (key not in w.simulations, len(w.simulations)))
            worker.batch = batch
            for pending in batch:
                pending.worker = worker
            self._spawn(self._run_batch(worker, batch))

    async def _run_batch(self, worker: _Worker, batch: list[_Pending]) -> None:
        try:
            outcomes = await self._send(worker, batch)
        except RayError as exc:
            self._lose(worker, exc)
            for pending in batch:
                self._retry(pending)
        except GreenforkError as exc:
            for pending in batch:
                _settle(pending, ErrorInfo.of(exc))
        else:
            for pending, outcome in zip(batch, outcomes, strict=True):
                _settle(pending, outcome)
        finally:
            worker.batch = []
            self._dispatch_soon()

    async def _send(self, worker: _Worker, batch: list[_Pending]) -> list[WorkerOutcome]:
        """Sends a batch of one simulation, with the files if the worker lacks them."""
        state, ref = batch[0].state, batch[0].ref
        is_known = ref.key in worker.simulations
        for bundle_is_needed in (False, True) if is_known else (True,):
            bundle = None
            if bundle_is_needed:
                has_scenario = ref.scenario_id in worker.scenarios
                bundle = await asyncio.to_thread(bundle_of, state, ref, not has_scenario)
            sent_s = time.monotonic()
            rollouts = [
                worker_rollout(state, p.task, p.deadline_s - sent_s, p.ticket, p.purpose.request_id)
                for p in batch
            ]
            outcomes, worker.holder_starts = await worker.actor.run.remote(ref, rollouts, bundle)
            if outcomes is not None:
                worker.simulations.add(ref.key)
                worker.scenarios.add(ref.scenario_id)
                for pending in batch:
                    pending.sent_s = sent_s
                return list(outcomes)
        raise RolloutError("the worker did not accept the state's files")

    def _retry(self, pending: _Pending) -> None:
        pending.attempts += 1
        if pending.attempts >= _MAX_ATTEMPTS:
            words = f"{_MAX_ATTEMPTS} workers died during this rollout"
            _settle(pending, ErrorInfo.of(WorkerLost(words)))
        elif not pending.done.done():
            self._retried += 1
            self._enqueue(pending)

    def _lose(self, worker: _Worker, exc: Exception) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._lost += 1
            self._past_starts += worker.holder_starts
            _log.warning("worker_lost", reason=str(exc).splitlines()[0])
            with contextlib.suppress(RayError):
                ray.kill(worker.actor)  # it may be unreachable only: never two answers from it

    async def _supervise(self) -> None:
        """Keeps as many workers as there should be, for as long as the pool lives."""
        while True:
            for _ in range(self._wanted() - len(self._workers) - self._starting):
                self._starting += 1
                self._spawn(self._start_worker())
            await asyncio.sleep(_SUPERVISE_EVERY_S)

    def _wanted(self) -> int:
        if self._settings.workers is not None:
            return self._settings.workers
        try:
            return int(ray.cluster_resources().get("CPU", 0))
        except RayError:
            return 0

    async def _start_worker(self) -> None:
        """Waits, for as long as it takes, until Ray has a CPU for another worker."""
        try:
            actor = start_actor(self._limits)
            hello = await actor.hello.remote()
            if hello.sumo_version != sumo_version():
                _log.error("worker_of_other_version", sumo_version=hello.sumo_version)
                ray.kill(actor)
                await asyncio.sleep(_SUPERVISE_EVERY_S)
                return
            self._workers.append(_Worker(actor))
            _log.info("worker_started", pid=hello.pid, workers=len(self._workers))
            self._dispatch_soon()
        except RayError as exc:
            _log.warning("worker_not_started", reason=str(exc).splitlines()[0])
            await asyncio.sleep(_SUPERVISE_EVERY_S)
        finally:
            self._starting -= 1

    def _spawn(self, work: Any) -> None:  # noqa: ANN401  any coroutine
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)


def _start_ray(settings: PoolSettings) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.ray_address is not None:
        ray.init(address=settings.ray_address, log_to_driver=False)
        return
    # Ray offers its ports to everybody unless it is told, in the way of desktop systems, that there
    # is one machine only. Nobody else is to use this one: it runs whatever it is sent.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        num_cpus=settings.workers or os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address=_LOOPBACK,
    )


def _settle(pending: _Pending, outcome: WorkerOutcome | ErrorInfo) -> None:
    if pending.done.done():
        return
    result = outcome.result if isinstance(outcome, WorkerOutcome) else outcome
    if isinstance(result, ErrorInfo):
        pending.done.set_exception(result.to_error())
    elif isinstance(outcome, WorkerOutcome):
        waited_s = pending.sent_s - pending.since_s + outcome.waited_s
        pending.done.set_result(Rolled(result, waited_s, outcome.ran_s))
