"""Bounded admission: excess load is refused at once, with a ``Retry-After`` estimate.

Callers share the bound by dynamic thresholds: a caller may have as many items under way as there is
room left, times a factor. A single caller gets nearly all of the room, but the next one still finds
some, without a share being reserved for it. (A. K. Choudhury and E. L. Hahne, "Dynamic
queue length thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6,
1998.)
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
"""A single caller gets 8/9 of the room, two get 8/17 each."""


def retry_after_s(excess_items: int, items_per_s: float, rand: float = 0.0) -> int:
    """Whole seconds, from 1 to 60, until ``excess_items`` are done; randomly spread out.

    Args:
        excess_items: Number of items by which a request exceeds the room.
        items_per_s: Recent throughput; 0 if unknown.
        rand: In [0, 1): adds up to half to the time, so that callers do not all return at once.

    >>> retry_after_s(100, 20.0), retry_after_s(100, 20.0, 0.99), retry_after_s(1, 500.0)
    (5, 8, 1)
    """
    wait_s = _MAX_RETRY_AFTER_S if items_per_s <= 0 else excess_items / items_per_s
    spread_s = min(wait_s, _MAX_RETRY_AFTER_S / (1 + _JITTER)) * (1 + _JITTER * rand)
    return max(1, min(_MAX_RETRY_AFTER_S, math.ceil(spread_s)))


def excess_items(own: int, total: int, items: int, limit: int, weight: float = 1.0) -> int:
    """Number of items that must be done before a request fits; 0 if it does.

    Args:
        own: The caller's items under way.
        total: The items under way of all callers.
        items: The items of the request.
        limit: Maximum number of items under way.
        weight: The caller's weight relative to others.

    >>> excess_items(0, 0, 900, 900), excess_items(800, 800, 1, 900), excess_items(0, 800, 50, 900)
    (0, 1, 0)
    """
    factor = _FACTOR * weight
    above_share = own + items - factor * (limit - total - items)
    return max(0, total + items - limit, min(own, math.ceil(above_share / (1 + factor))))


class Shares:
    """Counts what is under way, in total and for each owner.

    Args:
        limit: How much may be under way in total.
        factor: An owner may have as much under way as there is room left, times this.
    """

    def __init__(self, limit: int, factor: float = _FACTOR) -> None:
        self._limit = limit
        self._weight = factor / _FACTOR
        self.total = 0
        """The total under way."""
        self._by_owner: Counter[str] = Counter()

    def of(self, owner: str) -> int:
        """How much an owner has under way."""
        return self._by_owner[owner]

    def excess(self, owners: Sequence[str], size: int, mine: int = 0, weight: float = 1.0) -> int:
        """How much must be done before more fits; 0 if it does.

        Args:
            owners: The owners, such as a key's name or an address.
            size: The amount to add.
            mine: How much of the same thing is already under way; it never waits for itself.
            weight: The owners' weight relative to others.
        """
        weight *= self._weight
        own = [self._by_owner[owner] - mine for owner in owners] or [0]
        return max(excess_items(one, self.total, size, self._limit, weight) for one in own)

    def move(self, owners: Sequence[str], size: int) -> None:
        """Adds an amount to what is under way, or subtracts it if ``size`` is negative."""
        self.total += size
        for owner in owners:
            self._by_owner[owner] += size
            if not self._by_owner[owner]:
                del self._by_owner[owner]


class Admission:
    """Counts the items under way.

    Args:
        max_pending_items: Maximum number of items under way.
        clock: Monotonic clock, in seconds.
        rand: Returns a uniform number in [0, 1).
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
        """Reserves room for ``items`` while they are processed.

        Raises:
            Overloaded: There is no room.
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
