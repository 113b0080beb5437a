"""The ledger: every outcome ever computed, by the key of the work that led to it.

An outcome is written once and never changed. What is asked of one database only (SQLite) is in
:func:`_tune`, :func:`_adopt_schema` and :func:`_insert_new`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import (
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.sql import Executable

from shared.errors import ConfigError, LedgerError
from shared.rewards import Metrics
from sim_workers.rollouts import RolloutTask

__all__ = ["SCHEMA_VERSION", "Entry", "Ledger"]

SCHEMA_VERSION = 1
"""Raised when the tables change; a file of another version is refused."""

_KEYS_A_QUERY = 500
_BUSY_TIMEOUT_MS = 10_000
_TABLES = MetaData()
_OUTCOMES = Table(
    "outcomes",
    _TABLES,
    Column("key", String(64), primary_key=True),
    Column("state_id", Text, nullable=False),
    Column("tls_id", Text, nullable=False),
    Column("decision", Text),
    Column("horizon_s", Integer, nullable=False),
    Column("simulator", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_with_rowid=False,
)


@dataclass(frozen=True)
class Entry:
    """An outcome to be recorded."""

    key: str
    task: RolloutTask
    metrics: Metrics
    """With the series."""
    simulator: str
    """``sumo 1.28.0``."""


class Ledger:
    """Outcomes in ``ledger.sqlite``.

    Args:
        path: The file; made by :meth:`start` where it is missing, with its folder.
        clock: Seconds since the epoch, noted in each outcome.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._engine: AsyncEngine | None = None

    async def start(self) -> None:
        """Opens the file, and makes the tables where it is new.

        Raises:
            ConfigError: It cannot be opened, or is of another version.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(f"cannot make {self._path.parent}: {exc.strerror}") from exc
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{self._path}")
        event.listen(self._engine.sync_engine, "connect", _tune)
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(_adopt_schema)
        except SQLAlchemyError as exc:
            await self.close()
            raise ConfigError(f"cannot open the ledger {self._path}: {_reason(exc)}") from exc
        except ConfigError:
            await self.close()
            raise

    async def close(self) -> None:
        """Closes the file."""
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def get_many(self, keys: Sequence[str]) -> dict[str, Metrics]:
        """The recorded outcomes among ``keys``.

        Raises:
            LedgerError: The file cannot be read.
        """
        found: dict[str, Metrics] = {}
        with _mapped_errors(self._path):
            async with self._open().connect() as connection:
                for start in range(0, len(keys), _KEYS_A_QUERY):
                    some = keys[start : start + _KEYS_A_QUERY]
                    query = select(_OUTCOMES.c.key, _OUTCOMES.c.metrics)
                    rows = await connection.execute(query.where(_OUTCOMES.c.key.in_(some)))
                    found |= {row.key: Metrics.model_validate_json(row.metrics) for row in rows}
        return found

    async def put_many(self, entries: Sequence[Entry]) -> None:
        """Records outcomes, in one transaction. What is known already stays as it is.

        Raises:
            LedgerError: The file cannot be written.
        """
        if not entries:
            return
        rows = [self._row(entry) for entry in entries]
        with _mapped_errors(self._path):
            async with self._open().begin() as connection:
                await connection.execute(_insert_new(), rows)

    def _open(self) -> AsyncEngine:
        if self._engine is None:
            raise LedgerError("the ledger is not open")
        return self._engine

    def _row(self, entry: Entry) -> dict[str, Any]:
        task = entry.task
        return {
            "key": entry.key,
            "state_id": task.state_id,
            "tls_id": ",".join(task.observe),
            "decision": task.decisions_text(),
            "horizon_s": task.horizon_s,
            "simulator": entry.simulator,
            "metrics": entry.metrics.model_dump_json(),
            "created_at": self._clock(),
        }


@contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as exc:
        raise LedgerError(f"the ledger {path} failed: {_reason(exc)}") from exc
    except ValidationError as exc:
        raise LedgerError(f"the ledger {path} holds an outcome that is damaged: {exc}") from exc


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error)


def _insert_new() -> Executable:
    return sqlite.insert(_OUTCOMES).on_conflict_do_nothing()


def _tune(connection: DBAPIConnection, _record: object) -> None:
    """Readers beside one writer, and no failure only because another writes just now."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _adopt_schema(connection: Connection) -> None:
    version = connection.execute(text("PRAGMA user_version")).scalar_one()
    if version not in (0, SCHEMA_VERSION):
        raise ConfigError(
            f"the ledger is of version {version}, this program writes {SCHEMA_VERSION}: "
            "choose another data directory"
        )
    _TABLES.create_all(connection)
    connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))
