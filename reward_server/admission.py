"""Bounded admission: what does not fit is refused at once, with an honest time to come back."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.errors import Overloaded

__all__ = ["Admission", "retry_after_s"]

_WINDOW_S = 30.0
_MAX_RETRY_AFTER_S = 60


def retry_after_s(excess_items: int, items_per_s: float) -> int:
    """Whole seconds until ``excess_items`` will have been worked off, from 1 to 60.

    Args:
        excess_items: Items by which a request does not fit.
        items_per_s: Recent throughput; where nothing is known, 0.

    >>> retry_after_s(100, 20.0), retry_after_s(1, 500.0), retry_after_s(10, 0.0)
    (5, 1, 60)
    """
    if items_per_s <= 0:
        return _MAX_RETRY_AFTER_S
    return max(1, min(_MAX_RETRY_AFTER_S, math.ceil(excess_items / items_per_s)))


class Admission:
    """Counts the items under way.

    Args:
        max_pending_items: How many may be under way at a time.
        clock: Seconds, never going back.
    """

    def __init__(self, max_pending_items: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = max_pending_items
        self._clock = clock
        self._pending = 0
        self._done: deque[tuple[float, int]] = deque()

    @property
    def pending_items(self) -> int:
        """Items under way."""
        return self._pending

    @contextmanager
    def admitted(self, items: int) -> Iterator[None]:
        """Holds room for ``items`` while they are worked on.

        Raises:
            Overloaded: There is none.
        """
        excess = self._pending + items - self._limit
        if excess > 0:
            raise Overloaded(
                f"{self._pending} items are under way and at most {self._limit} may be; "
                "ask again later",
                None,
                retry_after_s(excess, self._items_per_s()),
            )
        self._pending += items
        try:
            yield
        finally:
            self._pending -= items
            self._done.append((self._clock(), items))
            self._forget()

    def _items_per_s(self) -> float:
        self._forget()
        return sum(items for _, items in self._done) / _WINDOW_S

    def _forget(self) -> None:
        horizon = self._clock() - _WINDOW_S
        while self._done and self._done[0][0] < horizon:
            self._done.popleft()
