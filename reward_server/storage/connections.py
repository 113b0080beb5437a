"""Transactions that leave nothing behind when the task they run in is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import LedgerError

__all__ = ["Connections"]


class Connections:
    """Connections of a pool, each of which comes back.

    A task that is cancelled while it waits for its connection would otherwise leave one that is
    half made, open at the server until the garbage collector finds it.
    """

    def __init__(self) -> None:
        self._returning: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine | None) -> AsyncIterator[AsyncConnection]:
        """A transaction; committed in the end, rolled back where anything raises.

        Raises:
            LedgerError: There is no engine, because the database is not open.
        """
        if engine is None:
            raise LedgerError("the database is not open")
        async with AsyncExitStack() as stack:
            connection = await self._open(engine)
            stack.push_async_exit(connection)
            async with connection.begin():
                yield connection

    async def close(self) -> None:
        """Returns when every connection is back."""
        await asyncio.gather(*self._returning)

    async def _open(self, engine: AsyncEngine) -> AsyncConnection:
        connection = engine.connect()
        opening = asyncio.ensure_future(connection.start())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            returning = asyncio.create_task(_return(connection, opening))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            raise


async def _return(connection: AsyncConnection, opening: "asyncio.Future[AsyncConnection]") -> None:
    await asyncio.wait([opening])
    if opening.exception() is None:
        await connection.close()
