"""Per-caller limits on work in progress, by key and by address.

The bound is that of :mod:`reward_server.scoring.admission`: nobody gets all of the room, whoever
comes next finds some, and needs no share for its first request.
"""

from collections import Counter
from collections.abc import Sequence

from reward_server.scoring.admission import excess_items

__all__ = ["Shares"]


class Shares:
    """Counts what is under way, of all and of each owner.

    Args:
        limit: How much may be under way.
        factor: An owner may have as much as there is room left, times this.
    """

    def __init__(self, limit: int, factor: float = 8.0) -> None:
        self._limit = limit
        self._weight = factor / 8.0
        self._total = 0
        self._by_owner: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """What is under way."""
        return self._total

    def has_room(self, owners: Sequence[str], size: int, mine: int = 0) -> bool:
        """Whether more fits, beside others.

        Args:
            owners: Whose it is: a key's name, an address.
            size: How much more.
            mine: What is under way of the same thing, which never waits for itself.
        """
        if self._total + size > self._limit:
            return False
        return all(
            excess_items(self._by_owner[owner] - mine, self._total, size, self._limit, self._weight)
            <= 0
            for owner in owners
        )

    def move(self, owners: Sequence[str], size: int) -> None:
        """So much more is under way; less, where it is negative."""
        self._total += size
        for owner in owners:
            self._by_owner[owner] += size
            if not self._by_owner[owner]:
                del self._by_owner[owner]
