"""What is asked of SQLite only: how files are opened, and how transactions begin in them."""

import sqlite3
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import aiosqlite
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

__all__ = [
    "DRIVER_OPTIONS",
    "FOR_WRITING",
    "connect",
    "make_shrinkable",
    "prepare",
    "shrink",
    "tune",
]

FOR_WRITING = "greenfork_for_writing"
"""The execution option of connections whose transactions may write."""

DRIVER_OPTIONS = {"isolation_level": None}
"""The driver begins no transactions of its own; :func:`prepare` sees to it."""

_BUSY_TIMEOUT_MS = 10_000
_WAL_RETRY_S = 0.01
_WAL_BYTES = 64 * 2**20
"""What is left of the write-ahead log when all of it has been taken over into the database."""
_INCREMENTAL = 2
_REWRITTEN_BYTES = 2**30
"""A larger file of an older release is left as it is: rewriting it takes minutes."""


async def connect(path: Path) -> aiosqlite.Connection:
    """Opens a file, in a thread of its own."""
    opened = partial(sqlite3.connect, path, **DRIVER_OPTIONS)
    connection = _Connection(opened, iter_chunk_size=64)
    # One that is left open must not keep the process alive.
    connection._thread.daemon = True
    return await connection


def prepare(engine: Engine) -> None:
    """Lets every connection of an engine wait for locks, and begin its transactions rightly."""
    event.listen(engine, "connect", _tuned)
    event.listen(engine, "begin", _begin)


def make_shrinkable(path: Path) -> None:
    """Has a file of an older release give back the room of what is deleted, from now on.

    Rewrites it, once, where it is not too large and nobody else uses it.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
        if mode or path.stat().st_size > _REWRITTEN_BYTES:
            return
        connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        with suppress(sqlite3.OperationalError):  # somebody uses it, or the disk is full
            connection.execute("VACUUM")


def shrink(path: Path, pages: int) -> bool:
    """Gives so many free pages of a file back to the disk; tells whether there are more.

    As a script: a statement that has no rows makes one step only, which frees one page.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        (before,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        (after,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return bool(0 < after < before)


class _Connection(aiosqlite.Connection):
    """One that holds no lock once it is closed.

    When a task is cancelled its connection is closed, be its statement at an end or not. SQLite
    closes a connection with an open statement later, when somebody frees the statement: until
    then its transaction would keep everybody else from writing.
    """

    async def close(self) -> None:
        """Ends what is under way, then closes."""
        with suppress(sqlite3.Error, ValueError):  # the latter: it is closed already
            await self.rollback()
        await super().close()


def _tuned(connection: DBAPIConnection, _record: object) -> None:
    tune(connection)


def tune(connection: DBAPIConnection | sqlite3.Connection) -> None:
    """Readers beside one writer, and no failure only because another writes just now."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")  # of a file that has no tables yet
    _use_wal(cursor)
    cursor.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _use_wal(cursor: DBAPICursor | sqlite3.Cursor) -> None:
    """Switches a new file to WAL, also while another process does the same.

    Two that read the old mode and then both want to write it would wait for each other for ever,
    so SQLite refuses one of them at once, whatever its busy timeout is. By the next try the other
    has done it.
    """
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _begin(connection: Connection) -> None:
    """Asks for the right to write at once: one that reads first may be refused it later."""
    for_writing = connection.get_execution_options().get(FOR_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if for_writing else "BEGIN")
