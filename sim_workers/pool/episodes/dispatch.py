"""The gateway's side of episodes on workers: their turns, and what is sent to workers.

A worker believed to have a process of the episode is sent only the position; if it has none, it
says so, and is sent the record. So the death of any process costs a replay and nothing else.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
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
    """Current counts, and totals since the start."""

    live: int
    """Number of episodes that have a process."""
    replayed: int
    """Number of steps replayed because there was no process."""
    opened: int
    """Number of simulations opened."""


class EpisodeDispatch:
    """Has the pool's workers handle calls about episodes, all on one event loop.

    Args:
        queue: The pool's queue, in which calls wait for their turn along with rollouts.
        workers: The pool's current workers, kept up to date.
        dispatch_soon: Tells the pool that a call is waiting.
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
        """The result of a call, which is completed even if nobody waits any more.

        Args:
            call: What to do.
            source: Fetches the data for a replay, if one is needed.
            flow: The flow whose share of the workers is used.
            simulated_s: Simulated time that it takes, in seconds.

        Raises:
            EpisodeInterrupted: Workers died repeatedly during the call.
            GreenforkError: It cannot be done; the class says why.
        """
        done: asyncio.Future[EpisodeReply] = asyncio.get_running_loop().create_future()
        turn = EpisodeTurn(call, source, flow, max(1.0, simulated_s / 60), done)
        self._enqueue(turn)
        return await done

    def park(self, episode_ids: Sequence[str]) -> None:
        """Ends the processes of episodes, wherever they are."""
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
        """Current counts, and totals since the start."""
        return EpisodeStats(sum(self._homes.live.values()), self._replayed, self._opened)

    def fits(self, numbers: Collection[int], key: str) -> bool:
        """Whether one of these idle workers can take a group's calls."""
        number = EpisodeHomes.worker_of(key)
        return number is None or number in numbers

    def worker_for(self, key: str, idle: Sequence[PoolWorker]) -> PoolWorker | None:
        """The worker for which a group waits; None if any will do."""
        number = EpisodeHomes.worker_of(key)
        return next((worker for worker in idle if worker.number == number), None)

    async def send(self, worker: PoolWorker, turns: Sequence[EpisodeTurn]) -> None:
        """Has a worker do calls, and settles them.

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
        """Gives a call whose worker died to another one; False if it is given up."""
        turn.attempts += 1
        if turn.attempts >= _MAX_ATTEMPTS:
            words = f"{_MAX_ATTEMPTS} workers died during this step; the episode's record is intact"
            turn.fail(EpisodeInterrupted(words))
            return False
        if turn.done.done():
            return False
        self._enqueue(turn)
        return True

    def lose(self, worker: PoolWorker) -> None:
        """Handles a worker's death: its episodes lose their processes, and calls go elsewhere."""
        self._held.difference_update(self._homes.lose(worker.number))
        for turn in list(self._queue):
            if isinstance(turn, EpisodeTurn) and turn.worker is None:
                self._queue.remove(turn.flow, turn.key, turn)
                self._enqueue(turn)

    def welcome(self) -> None:
        """Handles a new worker: calls that have to wait for a replay are spread over all again.

        Without this, whatever a worker's death left behind would stay with those that remained.
        """
        waiting = [
            turn
            for turn in self._queue
            if isinstance(turn, EpisodeTurn) and turn.call.episode_id not in self._held
        ]
        for turn in waiting:
            self._queue.remove(turn.flow, turn.key, turn)
            self._forget(turn.call.episode_id)
        for turn in waiting:
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
        """The messages for the turns: the call alone for episodes with a process there, otherwise
        with the data for a replay; each scenario's files only once.
        """
        prepared, sent = [], set(worker.scenarios)
        for turn in turns:
            call = turn.call
            if call.verb == "score":
                call = replace(call, at_once=1 + self._idle())
            if call.episode_id not in held or call.verb == "state":
                try:
                    origin = await turn.source(call.scenario_id not in sent)
                except GreenforkError as exc:
                    turn.fail(exc)
                    continue
                call = replace(call, origin=origin)
                sent.add(call.scenario_id)
            prepared.append((turn, call))
        return prepared

    def _idle(self) -> int:
        """Workers with nothing to do, whose CPUs can be used by forks of a busy one's episode."""
        return sum(not worker.batch for worker in self._workers)

    def _note(self, worker: PoolWorker, batch: EpisodeBatch) -> None:
        """Records which episodes a worker says that it has, and no longer has."""
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
        if reply.end is not None or reply.shown is not None:
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
