"""Calls about episodes that are waiting for a worker, and which worker has which episode.

An episode stays with a worker while it has a process there: its calls wait for that worker. All
calls for one worker form a group, so that one call to it can step several episodes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sim_workers.pool.episodes.messages import EpisodeCall, EpisodeOrigin, EpisodeReply
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.workers import PoolWorker

__all__ = ["EpisodeHomes", "EpisodeTurn", "OriginSource"]

OriginSource = Callable[[bool], Awaitable[EpisodeOrigin]]
"""Fetches the data for replaying an episode, with or without the scenario's files."""

_HOMED = "episodes@"
_HOMELESS = "episode:"


@dataclass(eq=False)
class EpisodeTurn:
    """A call that is waiting or under way."""

    call: EpisodeCall
    source: OriginSource
    flow: Flow
    cost: float
    """Amount of work, in rollouts of a minute."""
    done: asyncio.Future[EpisodeReply]
    key: str = ""
    """Key of its group in the queue."""
    worker: PoolWorker | None = None
    """The worker that has it; None while it waits."""
    attempts: int = 0
    since_s: float = field(default_factory=time.monotonic)

    def settle(self, reply: EpisodeReply) -> None:
        """Answers whoever is waiting for it."""
        if not self.done.done():
            self.done.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Raises an error for whoever is waiting for it."""
        if not self.done.done():
            self.done.set_exception(error)


class EpisodeHomes:
    """Which worker has which episode, by the workers' numbers."""

    def __init__(self) -> None:
        self._homes: dict[str, int] = {}
        self._sizes: Counter[int] = Counter()
        self.live: dict[int, int] = {}
        """Number of processes that each worker last reported."""

    def key_of(self, episode_id: str, workers: Iterable[int]) -> str:
        """The group in which a call waits.

        Args:
            episode_id: The episode.
            workers: The living workers; an episode without a worker gets the one with the fewest.
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
        """The worker for which a group waits; None if any will do."""
        return int(key.removeprefix(_HOMED)) if key.startswith(_HOMED) else None

    def settle(self, episode_id: str, number: int) -> None:
        """Records that an episode has a process at a worker from now on."""
        if self._homes.get(episode_id) == number:
            return
        self.forget([episode_id])
        self._homes[episode_id] = number
        self._sizes[number] += 1

    def forget(self, episode_ids: Iterable[str]) -> None:
        """Records that episodes no longer have a process."""
        for episode_id in episode_ids:
            number = self._homes.pop(episode_id, None)
            if number is not None:
                self._sizes[number] -= 1

    def group(self, episode_ids: Sequence[str]) -> dict[int, list[str]]:
        """Episodes by the worker that has them; those without one are left out."""
        found: dict[int, list[str]] = {}
        for episode_id in episode_ids:
            if episode_id in self._homes:
                found.setdefault(self._homes[episode_id], []).append(episode_id)
        return found

    def lose(self, number: int) -> list[str]:
        """Records that a worker died with its processes; returns the episodes that it had."""
        lost = [one for one, home in self._homes.items() if home == number]
        self.forget(lost)
        self._sizes.pop(number, None)
        self.live.pop(number, None)
        return lost
