"""The pool: rollouts from the gateway's event loop to Ray actors and back.

Owns routing (rollouts of one state go together, to a worker that holds it if one is free),
supervision (a worker that dies is replaced) and retries (its rollouts go elsewhere). A rollout is
deterministic, so running it again is always right.
"""

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from shared.errors import (
    DeadlineExceeded,
    ErrorInfo,
    GreenforkError,
    RolloutError,
    WorkerLost,
)
from shared.rewards import Metrics
from sim_workers.actor import start_actor
from sim_workers.rollouts import RolloutTask
from sim_workers.sources import source_of
from sim_workers.store import StateStore, StoredState
from sim_workers.version import sumo_version
from sim_workers.worker import StateRef, WorkerLimits
from sim_workers.worker_inputs import bundle_of, ref_of, worker_rollout

__all__ = ["PoolSettings", "PoolStats", "RolloutPool"]

_MAX_BATCH = 32
_MAX_ATTEMPTS = 3
_SUPERVISE_EVERY_S = 1.0
_FAREWELL_S = 5.0
_OBJECT_STORE_BYTES = 256 * 1024 * 1024

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
    done: asyncio.Future[Metrics]
    attempts: int = 0


@dataclass(eq=False)
class _Worker:
    """A living actor."""

    actor: Any
    simulations: set[str] = field(default_factory=set)
    """Keys of the simulations it was sent; it may have let some go."""
    scenarios: set[str] = field(default_factory=set)
    holder_starts: int = 0
    is_busy: bool = False


class RolloutPool:
    """Runs rollouts on Ray actors. Everything happens on one event loop."""

    def __init__(self, store: StateStore, settings: PoolSettings) -> None:
        self._store = store
        self._settings = settings
        self._limits = WorkerLimits(
            settings.rollout_timeout_s, settings.max_holders, settings.max_holder_memory_mb
        )
        self._workers: list[_Worker] = []
        self._groups: OrderedDict[str, list[_Pending]] = OrderedDict()
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
        return PoolStats(
            workers=len(self._workers),
            busy=sum(worker.is_busy for worker in self._workers),
            queued=sum(len(group) for group in self._groups.values()),
            holder_starts=self._past_starts + sum(w.holder_starts for w in self._workers),
            workers_lost=self._lost,
            retried=self._retried,
        )

    async def run(self, task: RolloutTask, timeout_s: float, is_urgent: bool = False) -> Metrics:
        """The metrics of a rollout, with the series.

        Args:
            task: What to roll out.
            timeout_s: Wall-clock seconds until the caller's deadline, which ends the work.
            is_urgent: Whether it goes before all that waits.

        Raises:
            UnknownState: The store has no such state.
            UnknownSignal: The state has no such signal.
            RolloutError: It could not be computed; the class says why.
        """
        state = self._store.get(task.state_id)
        for tls_id in task.observe:
            state.signal(tls_id)
        deadline_s = time.monotonic() + timeout_s
        done: asyncio.Future[Metrics] = asyncio.get_running_loop().create_future()
        ref = ref_of(state, source_of(state, task), task.reseed)
        pending = _Pending(task, state, ref, deadline_s, done)
        self._enqueue(pending, is_urgent)
        try:
            async with asyncio.timeout(timeout_s):
                return await done
        except TimeoutError as exc:
            raise DeadlineExceeded(f"no answer within {timeout_s:g} s") from exc
        finally:
            self._forget(pending)

    def _enqueue(self, pending: _Pending, is_urgent: bool = False) -> None:
        key = pending.ref.key
        group = self._groups.setdefault(key, [])
        group.insert(0 if is_urgent else len(group), pending)
        if is_urgent:
            self._groups.move_to_end(key, last=False)
        self._dispatch_soon()

    def _forget(self, pending: _Pending) -> None:
        """Takes a rollout that nobody waits for out of the queue, if it is still there."""
        group = self._groups.get(pending.ref.key, [])
        if pending in group:
            group.remove(pending)
            if not group:
                del self._groups[pending.ref.key]

    def _dispatch_soon(self) -> None:
        """Dispatches once the rollouts that arrive in this turn of the loop are all there."""
        if not self._is_dispatch_due:
            self._is_dispatch_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_dispatch_due = False
        for key in list(self._groups):
            idle = [worker for worker in self._workers if not worker.is_busy]
            if not idle:
                return
            worker = min(idle, key=lambda w: (key not in w.simulations, len(w.simulations)))
            group = self._groups.pop(key)
            batch, rest = group[:_MAX_BATCH], group[_MAX_BATCH:]
            if rest:
                self._groups[key] = rest
                self._dispatch_soon()
            worker.is_busy = True
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
            worker.is_busy = False
            self._dispatch_soon()

    async def _send(self, worker: _Worker, batch: list[_Pending]) -> list[Metrics | ErrorInfo]:
        """Sends a batch of one simulation, with the files if the worker lacks them."""
        state, ref = batch[0].state, batch[0].ref
        is_known = ref.key in worker.simulations
        for bundle_is_needed in (False, True) if is_known else (True,):
            bundle = None
            if bundle_is_needed:
                has_scenario = ref.scenario_id in worker.scenarios
                bundle = await asyncio.to_thread(bundle_of, state, ref, not has_scenario)
            now_s = time.monotonic()
            rollouts = [worker_rollout(state, p.task, p.deadline_s - now_s) for p in batch]
            outcomes, worker.holder_starts = await worker.actor.run.remote(ref, rollouts, bundle)
            if outcomes is not None:
                worker.simulations.add(ref.key)
                worker.scenarios.add(ref.scenario_id)
                return list(outcomes)
        raise RolloutError("the worker did not take the state's files")

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
    ray.init(
        num_cpus=settings.workers or os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECT_STORE_BYTES,
    )


def _settle(pending: _Pending, outcome: Metrics | ErrorInfo) -> None:
    if pending.done.done():
        return
    if isinstance(outcome, Metrics):
        pending.done.set_result(outcome)
    else:
        pending.done.set_exception(outcome.to_error())
