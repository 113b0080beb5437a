"""Looking keys up in batches: whatever is asked for while one query runs makes the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.errors import LedgerError

__all__ = ["KEYS_A_QUERY", "Lookups", "Query"]

KEYS_A_QUERY = 500
"""Databases bound the parameters of one query; and who asks for little should not wait for many."""

Query = Callable[[Sequence[str]], Awaitable[dict[str, str]]]
"""Gives what is on record among some keys."""


@dataclass(frozen=True)
class _Waiting:
    keys: Sequence[str]
    found: asyncio.Future[dict[str, str]]


class Lookups:
    """Puts many small questions to a database as few queries, one at a time.

    A question of more than :data:`KEYS_A_QUERY` keys is put in parts, and others between them.

    Args:
        query: Asks the database.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self._waiting: deque[_Waiting] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def find(self, keys: Sequence[str]) -> dict[str, str]:
        """What is on record among ``keys``.

        Raises:
            LedgerError: The database cannot be read.
        """
        found: dict[str, str] = {}
        for part in _parts(keys):
            found |= await self._find(part)
        return found

    async def close(self) -> None:
        """Returns when nothing is asked any more."""
        if self._asking is not None:
            await self._asking

    async def _find(self, keys: Sequence[str]) -> dict[str, str]:
        waiting = _Waiting(keys, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        found = await waiting.found
        return {key: found[key] for key in keys if key in found}

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                await self._ask(self._take())
        finally:
            for waiting in self._waiting:
                _answer(waiting.found, None, _BROKEN_OFF)
            self._waiting.clear()

    def _take(self) -> list[_Waiting]:
        """Those who waited longest, as many as fit into one query."""
        batch: list[_Waiting] = []
        room = KEYS_A_QUERY
        while self._waiting and (room := room - len(self._waiting[0].keys)) >= 0:
            waiting = self._waiting.popleft()
            if not waiting.found.done():
                batch.append(waiting)
        return batch

    async def _ask(self, batch: list[_Waiting]) -> None:
        keys = list(dict.fromkeys(key for waiting in batch for key in waiting.keys))
        error, found = _BROKEN_OFF, None
        try:
            found = await self._query(keys) if keys else {}
        except LedgerError as exc:
            error = exc
        finally:
            for waiting in batch:
                _answer(waiting.found, found, error)


_BROKEN_OFF = LedgerError("the lookup was cancelled")


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    remaining = iter(keys)
    while part := list(islice(remaining, KEYS_A_QUERY)):
        yield part


def _answer(
    waiter: asyncio.Future[dict[str, str]], found: dict[str, str] | None, error: LedgerError
) -> None:
    if waiter.done():
        return
    if found is None:
        waiter.set_exception(LedgerError(error.message, error.code))
    else:
        waiter.set_result(found)
