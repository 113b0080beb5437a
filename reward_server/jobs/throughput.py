"""How fast a job goes lately."""

import time
from collections import deque
from collections.abc import Callable

__all__ = ["ThroughputMeter"]

_WINDOW_S = 30.0


class ThroughputMeter:
    """Items a second over the last half minute.

    Args:
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, items: int) -> None:
        """Notes that items were done just now."""
        now_s = self._clock()
        self._done.append((now_s, items))
        while len(self._done) > 2 and self._done[1][0] < now_s - _WINDOW_S:
            self._done.popleft()

    @property
    def items_per_s(self) -> float | None:
        """Items a second; None before the first were done."""
        begin_s = self._done[0][0]
        items = sum(count for _, count in self._done) - self._done[0][1]
        elapsed_s = self._clock() - begin_s
        return items / elapsed_s if items and elapsed_s > 0 else None
