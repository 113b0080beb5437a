"""What one gateway keeps in mind of episodes, so that a step need not be looked up first.

Another gateway may have gone on meanwhile: whoever relies on this has it confirmed by the database
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
        """Is where the database says."""
        self.stored, self.at = stored, stored.at
        self.is_over = stored.status == "finished"


class Entries:
    """The episodes that were used lately.

    Args:
        forgotten: Told of those that are not kept in mind any more.
        clock: Seconds, never going back.
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
        """An episode, if it is kept in mind; it is used now."""
        entry = self._entries.get(episode_id)
        if entry is not None:
            self._entries.move_to_end(episode_id)
            entry.used_s = self._clock()
        return entry

    def add(self, stored: StoredEpisode) -> Entry:
        """Keeps an episode in mind; the least recently used one makes room for it."""
        entry = Entry(stored, stored.at, stored.status == "finished", used_s=self._clock())
        entry = self._entries.setdefault(stored.episode_id, entry)
        while len(self._entries) > _REMEMBERED:
            self.forget([next(iter(self._entries))])
        return entry

    def forget(self, episode_ids: list[str]) -> None:
        """Keeps episodes in mind no longer."""
        for episode_id in episode_ids:
            self._entries.pop(episode_id, None)
        self._forgotten(episode_ids)

    def idle(self, seconds: float) -> list[str]:
        """Those that nobody has used for so long."""
        since_s = self._clock() - seconds
        return [
            episode_id
            for episode_id, entry in self._entries.items()
            if entry.used_s < since_s and not entry.lock.locked()
        ]
