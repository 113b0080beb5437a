"""What only SQLite needs: how to open files, and how to begin transactions."""

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
"""The driver begins no transactions by itself; :func:`prepare` arranges for that."""

_BUSY_TIMEOUT_MS = 10_000
_WAL_RETRY_S = 0.01
_WAL_BYTES = 64 * 2**20
"""Size to which the write-ahead log is cut after a checkpoint."""
_INCREMENTAL = 2
_REWRITTEN_BYTES = 2**30
"""A file of an older release that is larger is left as it is: rewriting takes minutes."""


async def connect(path: Path) -> aiosqlite.Connection:
    """Opens a file, in a thread of its own."""
    opened = partial(sqlite3.connect, path, **DRIVER_OPTIONS)
    connection = _Connection(opened, iter_chunk_size=64)
    # A connection left open must not keep the process alive.
    connection._thread.daemon = True
    return await connection


def prepare(engine: Engine) -> None:
    """Makes every connection of an engine wait for locks and begin its transactions correctly."""
    event.listen(engine, "connect", _tuned)
    event.listen(engine, "begin", _begin)


def make_shrinkable(path: Path) -> None:
    """Makes a file of an older release able to return the space of deleted rows.

    Rewrites the file once, if it is not too large and nobody else uses it.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
        if mode or path.stat().st_size > _REWRITTEN_BYTES:
            return
        connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        with suppress(sqlite3.OperationalError):  # somebody uses it, or the disk is full
            connection.execute("VACUUM")


def shrink(path: Path, pages: int) -> bool:
    """Returns free pages of a file to the disk; tells whether there are more.

    It runs as a script, because a statement without rows is stepped once, which frees one page.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        (before,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")
        (after,) = connection.execute("PRAGMA freelist_count").fetchone()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return bool(0 < after < before)


class _Connection(aiosqlite.Connection):
    """A connection that holds no lock once it is closed.

    When a task is cancelled, its connection is closed even if its statement has not finished.
    SQLite closes a connection with an open statement only when the statement is freed; until
    then, its transaction would keep everybody else from writing.
    """

    async def close(self) -> None:
        """Ends the statement under way, then closes the connection."""
        with suppress(sqlite3.Error, ValueError):  # ValueError: it is already closed
            await self.rollback()
        await super().close()


def _tuned(connection: DBAPIConnection, _record: object) -> None:
    tune(connection)


def tune(connection: DBAPIConnection | sqlite3.Connection) -> None:
    """Lets readers work beside one writer, and writers wait for each other instead of failing."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")  # takes effect in a file without tables
    _use_wal(cursor)
    cursor.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _use_wal(cursor: DBAPICursor | sqlite3.Cursor) -> None:
    """Switches a new file to WAL, even while another process does the same.

    Two processes that have read the old mode and then want to change it would deadlock, so SQLite
    refuses one of them at once, whatever its busy timeout. By its next try, the other has done it.
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
    """Takes the write lock at once: a transaction that reads first may be refused it later."""
    for_writing = connection.get_execution_options().get(FOR_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if for_writing else "BEGIN")
