"""Short writes to a SQLite file in one go: one thread switch per transaction instead of a dozen.

Used for writes that every request waits for. Everything else goes through SQLAlchemy.
"""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import UpdateBase
from sqlalchemy.dialects import sqlite

from reward_server.storage.sqlite import tune

__all__ = ["DirectWriter", "Write"]

Write = tuple[UpdateBase, dict[str, object]]
"""A statement and its parameters by name."""

_DIALECT = sqlite.dialect(paramstyle="named")


class DirectWriter:
    """A connection in a thread of its own.

    Args:
        path: The file of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._compiled: dict[UpdateBase, tuple[str, dict[str, object]]] = {}

    async def run(self, writes: Sequence[Write]) -> list[int]:
        """Executes writes in one transaction, all or none; returns how many rows each changed.

        Raises:
            sqlite3.Error: The database failed.
        """
        texts = []
        for statement, given in writes:
            text, fixed = self._text_of(statement)
            texts.append((text, fixed | given))
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "greenfork-writes")
        loop = asyncio.get_running_loop()
        # Must not be abandoned half-way: an open transaction would keep the database locked.
        return await asyncio.shield(loop.run_in_executor(self._thread, self._run, texts))

    async def close(self) -> None:
        """Closes the connection when everything is written; the next write opens another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown()

    def _text_of(self, statement: UpdateBase) -> tuple[str, dict[str, object]]:
        """A statement's text, and the parameters that it contains."""
        if statement not in self._compiled:
            compiled = statement.compile(dialect=_DIALECT)
            self._compiled[statement] = str(compiled), dict(compiled.params)
        return self._compiled[statement]

    def _run(self, writes: Sequence[tuple[str, Mapping[str, object]]]) -> list[int]:
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        try:
            changed = [connection.execute(text, given).rowcount for text, given in writes]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return changed

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            tune(self._connection)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
