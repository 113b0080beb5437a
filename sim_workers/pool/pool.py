"""The pool: rollouts and episodes from the gateway's event loop to Ray actors and back.

Owns routing (rollouts of one state go together, to a worker that holds it if one is free), turns
(see :mod:`sim_workers.pool.fair_queue`), supervision (a worker that dies is replaced), retries (its
rollouts go elsewhere) and cancellation (what nobody waits for any more is ended, not only
forgotten). A rollout is deterministic, so running it again is always right. What is different for
episodes is in :mod:`sim_workers.pool.episodes`.
"""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from shared.errors import DeadlineExceeded, GreenforkError, RolloutError, WorkerLost
from sim_workers.engine.messages import Rollout, RolloutOutcome
from sim_workers.engine.version import sumo_version
from sim_workers.pool.cluster import start_ray
from sim_workers.pool.episodes.dispatch import EpisodeDispatch
from sim_workers.pool.episodes.host import EpisodeLimits
from sim_workers.pool.episodes.turns import EpisodeTurn
from sim_workers.pool.fair_queue import Flow, FlowLoad, FlowQueue, PoolStats
from sim_workers.pool.rollout import StateFiles, check_end, files_of, replay_of
from sim_workers.pool.tasks import DomainWorker, Task
from sim_workers.pool.worker import WorkerLimits
from sim_workers.pool.workers import PoolWorker
from sim_workers.states.store import StateStore, StoredState

__all__ = ["PoolSettings", "RolloutPool"]

_MAX_BATCH = 8.0
"""Maximum number of rollouts of a minute or less per call to a worker: few enough that nobody waits
long for a turn, and enough to make the call's overhead of about a millisecond small. Longer
rollouts count for more."""
_MAX_ATTEMPTS = 3
_SUPERVISE_EVERY_S = 1.0
_FAREWELL_S = 5.0
_THREADS = 2
"""Threads of an actor: one runs a batch, the other can cancel."""
_NOBODY = Flow("")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PoolSettings:
    """The number of workers, where they run, and what each may use."""

    workers: int | None
    """Number of workers; None means one per CPU."""
    ray_address: str | None
    """Address of a Ray cluster; None starts Ray below this process."""
    rollout_timeout_s: float
    max_holders: int
    max_holder_memory_mb: int
    restore_check_every: int = 200
    """See :class:`sim_workers.pool.worker.WorkerLimits`; 0 for None."""
    max_live_episodes: int = 64
    """Of one worker, as the next one."""
    max_episode_memory_mb: int = 4096


@dataclass(eq=False)
class _Pending:
    """A rollout that is waiting or under way."""

    rollout: Rollout | Task
    state: StoredState | None
    """That of a rollout."""
    flow: Flow
    deadline_s: float
    done: asyncio.Future[RolloutOutcome]
    ticket: int
    since_s: float
    worker: PoolWorker | None = None
    """Who has it; None while it waits."""
    sent_s: float = 0.0
    attempts: int = 0

    def settle(self, outcome: RolloutOutcome) -> None:
        """Answers whoever is waiting for it."""
        if not self.done.done():
            waited_s = self.sent_s - self.since_s + outcome.waited_s if self.sent_s else 0.0
            self.done.set_result(outcome.model_copy(update={"waited_s": waited_s}))


def _cost(item: _Pending | EpisodeTurn) -> float:
    if isinstance(item, EpisodeTurn):
        return item.cost
    return max(1.0, item.rollout.horizon_s / 60)


class RolloutPool:
    """Runs rollouts on Ray actors, one per CPU. Everything happens on one event loop."""

    def __init__(self, store: StateStore, settings: PoolSettings) -> None:
        self._store = store
        self._settings = settings
        self._limits = WorkerLimits(
            settings.rollout_timeout_s,
            settings.max_holders,
            settings.max_holder_memory_mb,
            settings.restore_check_every or None,
            EpisodeLimits(
                settings.max_live_episodes,
                settings.max_episode_memory_mb,
                settings.restore_check_every or None,
            ),
        )
        self._workers: list[PoolWorker] = []
        self._queue: FlowQueue[_Pending | EpisodeTurn] = FlowQueue(_cost)
        self._numbers = itertools.count(1)
        self.episodes = EpisodeDispatch(self._queue, self._workers, self._dispatch_soon)
        self._tickets = itertools.count(1)
        self._jobs: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._lost = self._retried = self._holder_starts = 0
        self._is_dispatch_due = False
        self._done = Counter[Flow]()

    async def start(self) -> None:
        """Starts or joins Ray and asks for workers. Returns before they are ready."""
        start_ray(self._settings.ray_address, self._settings.workers)
        self._spawn(self._supervise())

    async def close(self) -> None:
        """Ends the workers, and Ray if it was started here."""
        for worker in self._workers:
            tickets = [one.ticket for one in worker.batch if isinstance(one, _Pending)]
            worker.actor.cancel.remote(tickets)
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
        """Current counts, and totals since the start."""
        now_s = time.monotonic()
        return PoolStats(
            workers=len(self._workers),
            busy=sum(bool(worker.batch) for worker in self._workers),
            queued=len(self._queue),
            oldest_s=max((now_s - pending.since_s for pending in self._queue), default=0.0),
            holder_starts=self._holder_starts,
            workers_lost=self._lost,
            retried=self._retried,
            flows=self._loads(),
        )

    def _loads(self) -> tuple[FlowLoad, ...]:
        queued = Counter(pending.flow.name for pending in self._queue)
        running = Counter(p.flow.name for worker in self._workers for p in worker.batch)
        weights = {flow.name: flow.weight for flow in self._done}
        weights |= {pending.flow.name: pending.flow.weight for pending in self._queue}
        weights |= {p.flow.name: p.flow.weight for w in self._workers for p in w.batch}
        done = Counter[str]()
        for flow, rollouts in self._done.items():
            done[flow.name] += rollouts
        return tuple(
            FlowLoad(name, weight, queued[name], running[name], done[name])
            for name, weight in sorted(weights.items())
        )

    async def run(self, rollout: Rollout | Task, flow: Flow = _NOBODY) -> RolloutOutcome:
        """What becomes of a rollout by its limit. Cancelling the call ends the work.

        Args:
            rollout: What to roll out; or a task of another domain.
            flow: Whose share of the workers it takes.
        """
        try:
            state = None if isinstance(rollout, Task) else self._checked_state(rollout)
        except GreenforkError as exc:
            return RolloutOutcome.failed(exc)
        now_s, ticket = time.monotonic(), next(self._tickets)
        done: asyncio.Future[RolloutOutcome] = asyncio.get_running_loop().create_future()
        pending = _Pending(rollout, state, flow, now_s + rollout.limit_s, done, ticket, now_s)
        self._enqueue(pending)
        try:
            async with asyncio.timeout(rollout.limit_s):
                return await done
        except TimeoutError:
            return RolloutOutcome.failed(
                DeadlineExceeded(f"no answer within {rollout.limit_s:g} s")
            )
        finally:
            self._forget(pending)

    def _checked_state(self, rollout: Rollout) -> StoredState:
        """The state of a rollout that may be made from it."""
        state = self._store.get(rollout.state_id)
        check_end(state, rollout.horizon_s)
        for tls_id in rollout.observe:
            state.signal(tls_id)
        return state

    def promote(self, rollouts: Set[Rollout | Task], flow: Flow) -> None:
        """Lets rollouts that still wait count for a flow of more weight, which wants them too."""
        for pending in list(self._queue):
            if isinstance(pending, EpisodeTurn) or pending.rollout not in rollouts:
                continue
            if flow.weight > pending.flow.weight and self._dequeue(pending):
                pending.flow = flow
                self._enqueue(pending)

    def _enqueue(self, pending: _Pending) -> None:
        pending.worker = None
        self._queue.put(pending.flow, pending.rollout.simulation, pending)
        self._dispatch_soon()

    def _dequeue(self, pending: _Pending) -> bool:
        return self._queue.remove(pending.flow, pending.rollout.simulation, pending)

    def _forget(self, pending: _Pending) -> None:
        """Ends a rollout that nobody is waiting for, wherever it is."""
        if pending.done.done() and not pending.done.cancelled():
            return
        if not self._dequeue(pending) and pending.worker is not None:
            with contextlib.suppress(RayError):
                pending.worker.actor.cancel.remote([pending.ticket])

    def _dispatch_soon(self) -> None:
        """Dispatches once all rollouts arriving in this turn of the event loop are there."""
        if not self._is_dispatch_due:
            self._is_dispatch_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_dispatch_due = False
        while idle := [worker for worker in self._workers if not worker.batch]:
            numbers = {worker.number for worker in idle}
            taken = self._queue.take(_MAX_BATCH, partial(self.episodes.fits, numbers))
            if taken is None:
                return
            key, batch = taken
            worker = self.episodes.worker_for(key, idle) or min(
                idle, key=lambda w: (key not in w.simulations, len(w.simulations))
            )
            worker.batch = batch
            for item in batch:
                item.worker = worker
            self._spawn(self._run_batch(worker, batch))

    async def _run_batch(self, worker: PoolWorker, batch: Sequence[_Pending | EpisodeTurn]) -> None:
        rollouts = [one for one in batch if isinstance(one, _Pending)]
        turns = [one for one in batch if isinstance(one, EpisodeTurn)]
        try:
            if turns:
                await self.episodes.send(worker, turns)
            else:
                await self._roll_out(worker, rollouts)
        except RayError as exc:
            self._lose(worker, exc)
            for pending in rollouts:
                self._retry(pending)
            for turn in turns:
                self._retried += self.episodes.retry(turn)
        finally:
            worker.batch = ()
            self._dispatch_soon()

    async def _roll_out(self, worker: PoolWorker, batch: list[_Pending]) -> None:
        try:
            outcomes = await self._send(worker, batch)
        except GreenforkError as exc:
            for pending in batch:
                pending.settle(RolloutOutcome.failed(exc))
        else:
            self._holder_starts += sum(outcome.opened for outcome in outcomes)
            for pending, outcome in zip(batch, outcomes, strict=True):
                pending.settle(outcome)
                self._done[pending.flow] += 1

    async def _send(self, worker: PoolWorker, batch: list[_Pending]) -> list[RolloutOutcome]:
        """Sends a batch of one simulation, with the files if the worker lacks them."""
        state, first = batch[0].state, batch[0].rollout
        if isinstance(first, Task):
            return await _send_tasks(worker, batch)
        assert state is not None, "a rollout has one"  # noqa: S101
        async for files in _offers(worker, state, first):
            sent_s = time.monotonic()
            rollouts = [
                p.rollout.model_copy(update={"limit_s": p.deadline_s - sent_s, "ticket": p.ticket})
                for p in batch
            ]
            outcomes = await worker.actor.run.remote(rollouts, files)
            if outcomes is not None:
                worker.note(first.simulation, files)
                for pending in batch:
                    pending.sent_s = sent_s
                return list(outcomes)
        raise RolloutError("the worker did not accept the state's files")

    def _retry(self, pending: _Pending) -> None:
        pending.attempts += 1
        if pending.attempts >= _MAX_ATTEMPTS:
            words = f"{_MAX_ATTEMPTS} workers died during this rollout"
            pending.settle(RolloutOutcome.failed(WorkerLost(words)))
        elif not pending.done.done():
            self._retried += 1
            self._enqueue(pending)

    def _lose(self, worker: PoolWorker, exc: Exception) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self.episodes.lose(worker)
            self._lost += 1
            _log.warning("worker_lost", reason=str(exc).splitlines()[0])
            with contextlib.suppress(RayError):
                ray.kill(worker.actor)  # it may be unreachable only: never two answers from it

    async def _supervise(self) -> None:
        """Maintains the right number of workers for as long as the pool lives."""
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
            options = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": _THREADS}
            actor = ray.remote(**options)(DomainWorker).remote(self._limits)
            pid, version = await actor.hello.remote()
            if version != sumo_version():
                _log.error("worker_of_other_version", sumo_version=version)
                ray.kill(actor)
                await asyncio.sleep(_SUPERVISE_EVERY_S)
                return
            self._workers.append(PoolWorker(actor, next(self._numbers)))
            self.episodes.welcome()
            _log.info("worker_started", pid=pid, workers=len(self._workers))
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


async def _send_tasks(worker: PoolWorker, batch: list[_Pending]) -> list[RolloutOutcome]:
    """Sends a batch of one problem."""
    sent_s = time.monotonic()
    tasks = [
        p.rollout.model_copy(update={"limit_s": p.deadline_s - sent_s, "ticket": p.ticket})
        for p in batch
    ]
    outcomes = await worker.actor.perform.remote(tasks)
    worker.note(batch[0].rollout.simulation, None)
    for pending in batch:
        pending.sent_s = sent_s
    return list(outcomes)


async def _offers(
    worker: PoolWorker, state: StoredState, rollout: Rollout
) -> AsyncIterator[StateFiles | None]:
    """What to send a worker until that suffices: nothing, the data for a replay, all files."""
    run, scenario_id = state.run_key(), state.record.scenario_id
    if rollout.simulation in worker.simulations:
        yield None
    if run in worker.runs and (replay := await asyncio.to_thread(replay_of, state, rollout)):
        yield replay
    yield await asyncio.to_thread(
        files_of,
        state,
        rollout,
        with_scenario=scenario_id not in worker.scenarios,
        with_choice=True,
        with_actions=run not in worker.runs,
    )
