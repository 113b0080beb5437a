"""Bounded admission: excess load is refused at once, with a ``Retry-After`` estimate.

The bound is shared by dynamic thresholds: a caller may have as many items under way as there is
room left then, times a factor. Alone it gets nearly all of it; whoever comes next finds room, and
needs no share for its first request. (A. K.
Choudhury and E. L. Hahne, "Dynamic queue length thresholds for shared-memory packet switches",
IEEE/ACM Transactions on Networking 6, 1998.)
"""

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from reward_server.auth.callers import Caller
from shared.errors import Overloaded

__all__ = ["Admission", "Shares", "excess_items", "retry_after_s"]

_WINDOW_S = 30.0
_MAX_RETRY_AFTER_S = 60
_JITTER = 0.5
_FACTOR = 8.0
"""A caller that is alone gets 8/9 of the room, two get 8/17 each."""


def retry_after_s(excess_items: int, items_per_s: float, rand: float = 0.0) -> int:
    """Whole seconds until ``excess_items`` will have been worked off, from 1 to 60, spread out.

    Args:
        excess_items: Items by which a request does not fit.
        items_per_s: Recent throughput; where nothing is known, 0.
        rand: In [0, 1): makes it up to half longer, so that callers do not come back together.

    >>> retry_after_s(100, 20.0), retry_after_s(100, 20.0, 0.99), retry_after_s(1, 500.0)
    (5, 8, 1)
    """
    wait_s = _MAX_RETRY_AFTER_S if items_per_s <= 0 else excess_items / items_per_s
    spread_s = min(wait_s, _MAX_RETRY_AFTER_S / (1 + _JITTER)) * (1 + _JITTER * rand)
    return max(1, min(_MAX_RETRY_AFTER_S, math.ceil(spread_s)))


def excess_items(own: int, total: int, items: int, limit: int, weight: float = 1.0) -> int:
    """How many items must be done before a request fits; 0 where it does.

    Args:
        own: The caller's items under way.
        total: Everybody's.
        items: Those that ask to be let in.
        limit: How many may be under way.
        weight: The caller's weight beside others.

    >>> excess_items(0, 0, 900, 900), excess_items(800, 800, 1, 900), excess_items(0, 800, 50, 900)
    (0, 1, 0)
    """
    factor = _FACTOR * weight
    above_share = own + items - factor * (limit - total - items)
    return max(0, total + items - limit, min(own, math.ceil(above_share / (1 + factor))))


class Shares:
    """Counts what is under way, of all and of each owner.

    Args:
        limit: How much may be under way.
        factor: An owner may have as much as there is room left, times this.
    """

    def __init__(self, limit: int, factor: float = _FACTOR) -> None:
        self._limit = limit
        self._weight = factor / _FACTOR
        self.total = 0
        """What is under way."""
        self._by_owner: Counter[str] = Counter()

    def of(self, owner: str) -> int:
        """What is under way of an owner."""
        return self._by_owner[owner]

    def excess(self, owners: Sequence[str], size: int, mine: int = 0, weight: float = 1.0) -> int:
        """How much must be done before more fits, beside others; 0 where it does.

        Args:
            owners: Whose it is: a key's name, an address.
            size: How much more.
            mine: What is under way of the same thing, which never waits for itself.
            weight: The owners' weight beside others.
        """
        weight *= self._weight
        own = [self._by_owner[owner] - mine for owner in owners] or [0]
        return max(excess_items(one, self.total, size, self._limit, weight) for one in own)

    def move(self, owners: Sequence[str], size: int) -> None:
        """So much more is under way; less, where it is negative."""
        self.total += size
        for owner in owners:
            self._by_owner[owner] += size
            if not self._by_owner[owner]:
                del self._by_owner[owner]


class Admission:
    """Counts the items under way.

    Args:
        max_pending_items: How many may be under way at a time.
        clock: Seconds, never going back.
        rand: Uniform in [0, 1).
    """

    def __init__(
        self,
        max_pending_items: int,
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._limit = max_pending_items
        self._clock = clock
        self._rand = rand
        self._shares = Shares(max_pending_items)
        self._done: deque[tuple[float, int]] = deque()

    @property
    def pending_items(self) -> int:
        """Items under way."""
        return self._shares.total

    @contextmanager
    def admitted(self, caller: Caller, items: int) -> Iterator[None]:
        """Holds room for ``items`` while they are worked on.

        Raises:
            Overloaded: There is none.
        """
        owners, shares = (caller.name,), self._shares
        excess = shares.excess(owners, items, weight=caller.weight)
        if excess > 0:
            raise Overloaded(
                f"{shares.total} items are in progress, {shares.of(caller.name)} of them yours; "
                f"the limit is {self._limit}; retry later",
                None,
                retry_after_s(excess, self._items_per_s(), self._rand()),
            )
        shares.move(owners, items)
        try:
            yield
        finally:
            shares.move(owners, -items)
            self._done.append((self._clock(), items))
            self._forget()

    def _items_per_s(self) -> float:
        self._forget()
        return sum(items for _, items in self._done) / _WINDOW_S

    def _forget(self) -> None:
        horizon = self._clock() - _WINDOW_S
        while self._done and self._done[0][0] < horizon:
            self._done.popleft()
