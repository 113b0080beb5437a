"""Database work in batches: requests that arrive while a batch runs form the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.errors import LedgerError

__all__ = ["BATCH_ITEMS", "Coalescer"]

BATCH_ITEMS = 500
"""Databases limit the parameters of a query, and small requests should not wait for large ones."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Waiting(Generic[_Item, _Result]):
    items: Sequence[_Item]
    done: asyncio.Future[_Result]


class Coalescer(Generic[_Item, _Result]):
    """Combines small requests, one batch at a time.

    Args:
        work: Processes a batch of items, on behalf of all who submitted them.
    """

    def __init__(self, work: Callable[[Sequence[_Item]], Awaitable[_Result]]) -> None:
        self._work = work
        self._waiting: deque[_Waiting[_Item, _Result]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def submit(self, items: Sequence[_Item]) -> _Result:
        """The result of the batch that contains all of these items.

        Args:
            items: The items; more than :data:`BATCH_ITEMS` form a batch of their own.

        Raises:
            LedgerError: The work failed.
        """
        done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(items, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all())
        return await done

    async def close(self) -> None:
        """Returns when all work is done."""
        if self._running is not None:
            await self._running

    async def _run_all(self) -> None:
        try:
            while self._waiting:
                await self._run(self._take())
        finally:
            _refuse(self._waiting, _BROKEN_OFF)
            self._waiting.clear()

    def _take(self) -> list[_Waiting[_Item, _Result]]:
        """The requests that have waited longest, as many as fit into one batch."""
        batch = [self._waiting.popleft()]
        room = BATCH_ITEMS - len(batch[0].items)
        while self._waiting and (room := room - len(self._waiting[0].items)) >= 0:
            batch.append(self._waiting.popleft())
        return batch

    async def _run(self, batch: Sequence[_Waiting[_Item, _Result]]) -> None:
        error = _BROKEN_OFF
        try:
            result = await self._work([item for waiting in batch for item in waiting.items])
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_result(result)
        except LedgerError as exc:
            error = exc
        finally:
            _refuse(batch, error)


_BROKEN_OFF = LedgerError("the database work was cancelled")


def _refuse(
    batch: Sequence[_Waiting[_Item, _Result]] | deque[_Waiting[_Item, _Result]], error: LedgerError
) -> None:
    """Fails those who still wait, each with its own exception, because raising one changes it."""
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(LedgerError(error.message, error.code))
