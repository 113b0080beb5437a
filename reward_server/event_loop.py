"""Splits long work on the event loop into short stretches.

No request may occupy the loop for more than 100 ms of its own processor time. Code that goes
through many items therefore lets others run in between.
"""

import asyncio
import time
from collections.abc import Callable

__all__ = ["TimeSlice"]

_STRETCH_S = 0.01


class TimeSlice:
    """Yields to the event loop once a time slice is used up.

    Args:
        stretch_s: Seconds of work before it yields.
        clock: A monotonic clock, seconds.
    """

    def __init__(
        self, stretch_s: float = _STRETCH_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._stretch_s = stretch_s
        self._clock = clock
        self._since_s = clock()

    async def taken(self) -> None:
        """Returns at once, or after every other task that is ready has had a turn."""
        if self._clock() - self._since_s < self._stretch_s:
            return
        await asyncio.sleep(0)
        self._since_s = self._clock()
