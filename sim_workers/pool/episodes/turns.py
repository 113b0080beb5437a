"""Calls about episodes that wait for a worker, and which worker has which episode.

An episode stays with a worker while it has a process there: its calls wait for that worker. All
calls for one worker are a group, so that several episodes are stepped by one call to it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sim_workers.pool.episodes.messages import EpisodeCall, EpisodeOrigin, EpisodeReply
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.workers import PoolWorker

__all__ = ["EpisodeHomes", "EpisodeTurn", "OriginSource"]

OriginSource = Callable[[bool], Awaitable[EpisodeOrigin]]
"""Fetches what an episode is replayed from, with the scenario's files or without."""

_HOMED = "episodes@"
_HOMELESS = "episode:"


@dataclass(eq=False)
class EpisodeTurn:
    """A call that waits, or is under way."""

    call: EpisodeCall
    source: OriginSource
    flow: Flow
    cost: float
    """How much work it is, in rollouts of a minute."""
    done: asyncio.Future[EpisodeReply]
    key: str = ""
    """Of its group in the queue."""
    worker: PoolWorker | None = None
    """Who has it; None while it waits."""
    attempts: int = 0
    since_s: float = field(default_factory=time.monotonic)

    def settle(self, reply: EpisodeReply) -> None:
        """Answers whoever waits for it."""
        if not self.done.done():
            self.done.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Tells whoever waits why there is no answer."""
        if not self.done.done():
            self.done.set_exception(error)

    async def with_origin(self, with_scenario: bool) -> EpisodeCall:
        """The call with all that the episode is replayed from.

        Raises:
            GreenforkError: The record or the files cannot be read.
        """
        return replace(self.call, origin=await self.source(with_scenario))


class EpisodeHomes:
    """Which worker has which episode, by the workers' numbers."""

    def __init__(self) -> None:
        self._homes: dict[str, int] = {}
        self._sizes: Counter[int] = Counter()
        self.live: dict[int, int] = {}
        """How many processes each worker has said that it has."""

    def key_of(self, episode_id: str, workers: Iterable[int]) -> str:
        """The group in which a call waits.

        Args:
            episode_id: The episode.
            workers: Those that are alive; one without a home gets the one that has fewest.
        """
        home = self._homes.get(episode_id)
        if home is None:
            home = min(workers, key=lambda number: self._sizes[number], default=None)
            if home is None:
                return f"{_HOMELESS}{episode_id}"
            self.settle(episode_id, home)
        return f"{_HOMED}{home}"

    @staticmethod
    def worker_of(key: str) -> int | None:
        """The worker that a group waits for; None: it takes any."""
        return int(key.removeprefix(_HOMED)) if key.startswith(_HOMED) else None

    def settle(self, episode_id: str, number: int) -> None:
        """An episode has a process at a worker from now on."""
        if self._homes.get(episode_id) == number:
            return
        self.forget([episode_id])
        self._homes[episode_id] = number
        self._sizes[number] += 1

    def forget(self, episode_ids: Iterable[str]) -> None:
        """Episodes have no process any more."""
        for episode_id in episode_ids:
            number = self._homes.pop(episode_id, None)
            if number is not None:
                self._sizes[number] -= 1

    def group(self, episode_ids: Sequence[str]) -> dict[int, list[str]]:
        """Episodes by the worker that has them, those without left out."""
        found: dict[int, list[str]] = {}
        for episode_id in episode_ids:
            if episode_id in self._homes:
                found.setdefault(self._homes[episode_id], []).append(episode_id)
        return found

    def lose(self, number: int) -> list[str]:
        """A worker has died, and its processes with it; the episodes that it had."""
        lost = [one for one, home in self._homes.items() if home == number]
        self.forget(lost)
        self._sizes.pop(number, None)
        self.live.pop(number, None)
        return lost
