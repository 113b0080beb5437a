"""Long work on the event loop, done in short stretches.

No request may keep the loop from others for more than 100 ms of its own processor time. What goes
through many items therefore lets others in between two of them.
"""

import asyncio
import time
from collections.abc import Callable

__all__ = ["TimeSlice"]

_STRETCH_S = 0.01


class TimeSlice:
    """Yields to the event loop once a time slice is used up.

    Args:
        stretch_s: For how long work goes on before it is interrupted.
        clock: Seconds, never going back.
    """

    def __init__(
        self, stretch_s: float = _STRETCH_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._stretch_s = stretch_s
        self._clock = clock
        self._since_s = clock()

    async def taken(self) -> None:
        """Returns at once, or after everybody else who is ready has had a turn."""
        if self._clock() - self._since_s < self._stretch_s:
            return
        await asyncio.sleep(0)
        self._since_s = self._clock()
