"""The one database of a gateway: a file (SQLite) or a server (PostgreSQL).

For both kinds, the rest of the program sees transactions and one error class. What only SQLite
needs is in :mod:`reward_server.storage.sqlite`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import partial
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import URL, Executable, Row, Table, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from reward_server.storage.direct import DirectWriter, Write
from reward_server.storage.schema import migrate
from reward_server.storage.sqlite import (
    DRIVER_OPTIONS,
    FOR_WRITING,
    connect,
    make_shrinkable,
    prepare,
    shrink,
)
from reward_server.storage.urls import display_name, failure_reason, file_of
from shared.errors import ConfigError, LedgerError
from shared.files import os_errors

__all__ = ["Connections", "Database", "Dialect"]

Dialect = Literal["sqlite", "postgresql"]
_Result = TypeVar("_Result")

_POOL: dict[str, Any] = {
    "pool_size": 8,
    "max_overflow": 0,
    "pool_timeout": 15.0,
    "hide_parameters": True,
}


_PAGES_TOGETHER = 2000
"""Pages freed in one transaction: few, because in SQLite nobody else can write meanwhile."""


class _ConnectionLost(LedgerError):
    """The connection broke; whether the last statement took effect is unknown."""


class Database:
    """A database that is opened, brought up to date, and shared by all tasks of one event loop.

    Args:
        url: From :func:`reward_server.storage.urls.parse_database_url`.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        self._connections = Connections()
        self._file = file_of(url)
        self._direct = None if self._file is None else DirectWriter(self._file)
        # SQLite allows one writer at a time; waiting writers poll for the lock, in no order.
        self._turn: AbstractAsyncContextManager[None] = (
            asyncio.Lock() if self._file else nullcontext()
        )

    @property
    def dialect(self) -> Dialect:
        """The kind of the database."""
        return cast("Dialect", self._url.get_backend_name())

    @property
    def name(self) -> str:
        """The database's name for messages, without secrets."""
        return display_name(self._url)

    async def start(self) -> None:
        """Opens the database and migrates its tables to this release.

        Raises:
            ConfigError: It cannot be opened, or was written by a newer release.
        """
        self._make_folder()
        try:
            await asyncio.to_thread(self._migrate)
            if self._file is not None:
                await asyncio.to_thread(make_shrinkable, self._file)
        except SQLAlchemyError as exc:
            raise ConfigError(
                f"cannot open the database {self.name}: {failure_reason(exc, self._url)} "
                f"({_WAYS_OUT[self.dialect]})"
            ) from exc
        self._engine = self._open()
        self._writer = self._engine.execution_options(**{FOR_WRITING: True})

    async def close(self) -> None:
        """Closes every connection."""
        await self._connections.close()
        if self._direct is not None:
            await self._direct.close()
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = self._writer = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed at the end, or rolled back on an exception.

        In SQLite it locks out all other writers until it ends, so keep it short.

        Raises:
            LedgerError: The database failed.
        """
        with self._mapped_errors():
            async with self._turn, self._connections.transaction(self._writer) as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, and does not wait for writers.

        Raises:
            LedgerError: The database failed.
        """
        with self._mapped_errors():
            async with self._connections.transaction(self._engine) as connection:
                yield connection

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """All rows of a query, in a transaction of its own.

        Raises:
            LedgerError: The database failed.
        """
        async with self.read() as connection:
            return (await connection.execute(query)).all()

    async def scalar(self, query: Executable) -> Any:  # noqa: ANN401  as SQLAlchemy has it
        """The first value that a query finds; None if it finds none.

        Raises:
            LedgerError: The database failed.
        """
        async with self.read() as connection:
            return await connection.scalar(query)

    async def change(self, statement: Executable, rows: list[dict[str, Any]] | None = None) -> None:
        """Executes a statement, once or for each of several rows, in a transaction of its own.

        Raises:
            LedgerError: The database failed.
        """
        async with self.begin() as connection:
            await connection.execute(statement, rows)

    async def write_all(self, writes: Sequence[Write]) -> list[int]:
        """Executes short writes in one transaction, all or none, at the lowest cost.

        Args:
            writes: Statements that are built once, with their parameters by name.

        Returns:
            The number of rows changed by each.

        Raises:
            LedgerError: The database failed.
        """
        if self._direct is None:
            async with self.begin() as connection:
                return [(await connection.execute(*write)).rowcount for write in writes]
        if self._engine is None:
            raise LedgerError("the database is not open")
        try:
            async with self._turn:
                return await self._direct.run(writes)
        except sqlite3.Error as exc:
            raise LedgerError(f"the database {self.name} failed: {exc}") from exc

    async def give_back(self) -> None:
        """Returns the space of deleted rows to the disk, in portions.

        PostgreSQL does that by itself.

        Raises:
            LedgerError: The database failed.
        """
        path, is_more = self._file, True
        if path is None:
            return
        try:
            while is_more:
                async with self._turn:
                    is_more = await asyncio.to_thread(shrink, path, _PAGES_TOGETHER)
        except sqlite3.Error as exc:
            raise LedgerError(f"the database {self.name} failed: {exc}") from exc

    async def retried(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Does work, and repeats it once if the connection was lost.

        Args:
            work: Whole transactions that may happen twice without harm.

        Raises:
            LedgerError: The database failed, or the connection was lost twice.
        """
        try:
            return await work()
        except _ConnectionLost:
            return await work()

    def insert_new(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An ``INSERT`` that leaves existing rows alone."""
        if self.dialect == "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        return sqlite.insert(table).on_conflict_do_nothing()

    def _make_folder(self) -> None:
        path = self._file
        if path is None:
            return
        with os_errors(ConfigError, f"cannot create {path}"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)  # SQLite's auxiliary files inherit the mode

    def _open(self) -> AsyncEngine:
        if self._file is None:
            return create_async_engine(self._url, pool_pre_ping=True, **_POOL)
        opened = partial(connect, self._file)
        engine = create_async_engine(self._url, async_creator=opened, **_POOL)
        prepare(engine.sync_engine)
        return engine

    def _migrate(self) -> None:
        if self.dialect == "postgresql":
            engine = create_engine(self._url, hide_parameters=True)
        else:
            plain = self._url.set(drivername="sqlite+pysqlite")
            engine = create_engine(plain, connect_args=DRIVER_OPTIONS, hide_parameters=True)
            prepare(engine)
        try:
            with engine.execution_options(**{FOR_WRITING: True}).begin() as connection:
                migrate(connection)
        finally:
            engine.dispose()

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            is_lost = isinstance(exc, DBAPIError) and exc.connection_invalidated
            error = _ConnectionLost if is_lost else LedgerError
            raise error(
                f"the database {self.name} failed: {failure_reason(exc, self._url)}"
            ) from exc


_WAYS_OUT: dict[Dialect, str] = {
    "sqlite": "choose another --data-dir, or --database-url",
    "postgresql": "check GREENFORK_SERVER_DATABASE_URL, and that the server is running",
}


class Connections:
    """Connections of a pool, each of which is returned.

    Without this, a task cancelled while it waits for its connection would leave a half-made one,
    open at the server until the garbage collector finds it.
    """

    def __init__(self) -> None:
        self._returning: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine | None) -> AsyncIterator[AsyncConnection]:
        """A transaction; committed at the end, or rolled back on an exception.

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
        """Returns when every connection has been returned."""
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
