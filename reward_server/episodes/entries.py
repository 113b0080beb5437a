"""What one gateway remembers of episodes, so that a step needs no lookup first.

Another gateway may have advanced an episode meanwhile, so the database confirms what is remembered
when a step is recorded.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from reward_server.episodes.records import StoredEpisode
from sim_workers.episodes.position import Position

__all__ = ["Entries", "Entry"]

_REMEMBERED = 4096


@dataclass(eq=False)
class Entry:
    """What this gateway knows of an episode."""

    stored: StoredEpisode
    at: Position
    is_over: bool
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    used_s: float = 0.0

    def refresh(self, stored: StoredEpisode) -> None:
        """Takes over the position from the database."""
        self.stored, self.at = stored, stored.at
        self.is_over = stored.status == "finished"


class Entries:
    """The recently used episodes.

    Args:
        forgotten: Called with the episodes that are no longer remembered.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        forgotten: Callable[[list[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forgotten = forgotten
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, episode_id: str) -> Entry | None:
        """An episode, if it is remembered; this counts as a use."""
        entry = self._entries.get(episode_id)
        if entry is not None:
            self._entries.move_to_end(episode_id)
            entry.used_s = self._clock()
        return entry

    def add(self, stored: StoredEpisode) -> Entry:
        """Remembers an episode; the least recently used one is forgotten if there is no room."""
        entry = Entry(stored, stored.at, stored.status == "finished", used_s=self._clock())
        entry = self._entries.setdefault(stored.episode_id, entry)
        while len(self._entries) > _REMEMBERED:
            self.forget([next(iter(self._entries))])
        return entry

    def forget(self, episode_ids: list[str]) -> None:
        """Forgets episodes."""
        for episode_id in episode_ids:
            self._entries.pop(episode_id, None)
        self._forgotten(episode_ids)

    def idle(self, seconds: float) -> list[str]:
        """The episodes that nobody has used for this many seconds."""
        since_s = self._clock() - seconds
        return [
            episode_id
            for episode_id, entry in self._entries.items()
            if entry.used_s < since_s and not entry.lock.locked()
        ]
