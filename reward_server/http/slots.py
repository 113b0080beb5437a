"""Slots for heavy work, assigned to callers in turn, so that nobody can occupy all of them."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["FairSlots"]


class FairSlots:
    """A semaphore with a lower limit per caller; waiters are served round-robin by caller.

    Args:
        slots: Number of slots.
        per_caller: Maximum per caller; None leaves one slot to others if there are at least two.
    """

    def __init__(self, slots: int, per_caller: int | None = None) -> None:
        self._free = slots
        self._per_caller = max(1, slots - 1) if per_caller is None else per_caller
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def held(self, caller: str) -> AsyncIterator[None]:
        """Waits for a slot, and holds it until the end of the context.

        Args:
            caller: The caller that the work is for.
        """
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        self._give()
        try:
            await turn
            yield
        finally:
            self._take_back(caller, turn)

    def _take_back(self, caller: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self._free += 1
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
        else:
            self._leave(caller, turn)
        self._give()

    def _leave(self, caller: str, turn: "asyncio.Future[None]") -> None:
        """Stops waiting; the caller may have lost its turn already."""
        queue = self._waiting.get(caller)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[caller]

    def _give(self) -> None:
        while self._free and (caller := self._next()) is not None:
            queue = self._waiting[caller]
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(caller)
            else:
                del self._waiting[caller]
            if turn.cancelled():
                continue
            self._free -= 1
            self._held[caller] += 1
            turn.set_result(None)

    def _next(self) -> str | None:
        """Of the waiting callers that may have another slot, the one served least recently."""
        for caller in self._waiting:
            if self._held[caller] < self._per_caller:
                return caller
        return None
