"""The gateway's side of episodes on workers: their turns, and what a worker is sent.

A worker is sent the position only, while it is believed to have a process of the episode; one that
has none says so, and is sent the record. So whatever dies costs a replay and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayError

from shared.errors import EpisodeInterrupted, GreenforkError, RequestError
from sim_workers.pool.episodes.messages import EpisodeBatch, EpisodeCall, EpisodeReply
from sim_workers.pool.episodes.turns import EpisodeHomes, EpisodeTurn, OriginSource
from sim_workers.pool.fair_queue import Flow, FlowQueue
from sim_workers.pool.workers import PoolWorker

__all__ = ["EpisodeDispatch", "EpisodeStats"]

_MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class EpisodeStats:
    """Counts, now and since the start."""

    live: int
    """Episodes that have a process."""
    replayed: int
    """Steps that were replayed because there was no process."""
    opened: int
    """Simulations that were opened."""


class EpisodeDispatch:
    """Has calls about episodes done by the pool's workers. Everything happens on one event loop.

    Args:
        queue: The pool's, in which calls wait for their turn beside rollouts.
        workers: The pool's, as they are at any time.
        dispatch_soon: Tells the pool that something waits.
    """

    def __init__(
        self,
        queue: FlowQueue[Any],
        workers: Sequence[PoolWorker],
        dispatch_soon: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._workers = workers
        self._dispatch_soon = dispatch_soon
        self._homes = EpisodeHomes()
        self._held: set[str] = set()
        self._replayed = self._opened = 0

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """What becomes of a call. It is done to its end even if nobody waits any more.

        Args:
            call: What is to be done.
            source: Fetches what the episode is replayed from, if that is needed.
            flow: Whose share of the workers it takes.
            simulated_s: How much it simulates, seconds.

        Raises:
            EpisodeInterrupted: Workers died over it again and again.
            GreenforkError: It cannot be done; the class says why.
        """
        done: asyncio.Future[EpisodeReply] = asyncio.get_running_loop().create_future()
        turn = EpisodeTurn(call, source, flow, max(1.0, simulated_s / 60), done)
        self._enqueue(turn)
        return await done

    def park(self, episode_ids: Sequence[str]) -> None:
        """Lets the processes of episodes go, wherever they are."""
        workers = {worker.number: worker for worker in self._workers}
        for number, ids in self._homes.group(episode_ids).items():
            if number in workers:
                with contextlib.suppress(RayError):
                    workers[number].actor.park_episodes.remote(ids)
                    self._homes.live[number] = max(0, self._homes.live.get(number, 0) - len(ids))
        self._homes.forget(episode_ids)
        self._held.difference_update(episode_ids)

    def is_live(self, episode_id: str) -> bool:
        """Whether an episode is believed to have a process."""
        return episode_id in self._held

    def stats(self) -> EpisodeStats:
        """Counts."""
        return EpisodeStats(sum(self._homes.live.values()), self._replayed, self._opened)

    def fits(self, numbers: Collection[int], key: str) -> bool:
        """Whether a group can be worked on while these workers are idle."""
        number = EpisodeHomes.worker_of(key)
        return number is None or number in numbers

    def worker_for(self, key: str, idle: Sequence[PoolWorker]) -> PoolWorker | None:
        """The worker that a group waits for; None: any will do."""
        number = EpisodeHomes.worker_of(key)
        return next((worker for worker in idle if worker.number == number), None)

    async def send(self, worker: PoolWorker, turns: Sequence[EpisodeTurn]) -> None:
        """Has a worker do calls, and answers them.

        Raises:
            RayError: The worker has died.
        """
        for turn in turns:
            self._homes.settle(turn.call.episode_id, worker.number)
        prepared = await self._prepared(worker, turns, self._held)
        while prepared:
            calls = [call for _, call in prepared]
            batch: EpisodeBatch = await worker.actor.run_episodes.remote(calls)
            self._note(worker, batch)
            lacking = []
            for (turn, call), reply in zip(prepared, batch.replies, strict=True):
                if reply.needs_origin and call.origin is None:
                    lacking.append(turn)
                else:
                    self._settle(worker, turn, call, reply)
            prepared = await self._prepared(worker, lacking, ())

    def retry(self, turn: EpisodeTurn) -> bool:
        """Has a call whose worker has died done by another one; False if it is given up."""
        turn.attempts += 1
        if turn.attempts >= _MAX_ATTEMPTS:
            words = f"{_MAX_ATTEMPTS} workers died during this step; its record is whole"
            turn.fail(EpisodeInterrupted(words))
            return False
        if turn.done.done():
            return False
        self._enqueue(turn)
        return True

    def lose(self, worker: PoolWorker) -> None:
        """A worker has died: its episodes have no processes, and those that wait go elsewhere."""
        self._held.difference_update(self._homes.lose(worker.number))
        for turn in list(self._queue):
            if isinstance(turn, EpisodeTurn) and turn.worker is None:
                self._queue.remove(turn.flow, turn.key, turn)
                self._enqueue(turn)

    def _enqueue(self, turn: EpisodeTurn) -> None:
        turn.worker = None
        numbers = [worker.number for worker in self._workers]
        turn.key = self._homes.key_of(turn.call.episode_id, numbers)
        self._queue.put(turn.flow, turn.key, turn)
        self._dispatch_soon()

    async def _prepared(
        self, worker: PoolWorker, turns: Sequence[EpisodeTurn], held: Collection[str]
    ) -> list[tuple[EpisodeTurn, EpisodeCall]]:
        """What is sent for each turn: the call alone for episodes that are held there, or with all
        that is replayed; each scenario's files once.
        """
        prepared, sent = [], set(worker.scenarios)
        for turn in turns:
            call = turn.call
            if call.episode_id not in held or call.verb == "state":
                try:
                    call = await turn.with_origin(call.scenario_id not in sent)
                except GreenforkError as exc:
                    turn.fail(exc)
                    continue
                sent.add(call.scenario_id)
            prepared.append((turn, call))
        return prepared

    def _note(self, worker: PoolWorker, batch: EpisodeBatch) -> None:
        """Keeps in mind what a worker says that it has, and has not any more."""
        self._homes.live[worker.number] = batch.live
        self._held.difference_update(batch.parked)
        self._homes.forget(batch.parked)

    def _settle(
        self, worker: PoolWorker, turn: EpisodeTurn, call: EpisodeCall, reply: EpisodeReply
    ) -> None:
        if reply.error is not None:
            if not isinstance(reply.error, RequestError):
                self._forget(call.episode_id)
            turn.fail(reply.error)
            return
        self._replayed += reply.replayed
        self._opened += reply.is_opened
        if call.origin is not None:
            worker.scenarios.add(call.scenario_id)
        if reply.end is not None:
            self._forget(call.episode_id)
        else:
            self._held.add(call.episode_id)
        if call.verb == "fork":
            self._homes.settle(call.fork_id, worker.number)
            self._held.add(call.fork_id)
        turn.settle(reply)

    def _forget(self, episode_id: str) -> None:
        self._held.discard(episode_id)
        self._homes.forget([episode_id])
