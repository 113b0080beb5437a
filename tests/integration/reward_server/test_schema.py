"""Migrations on real databases of both kinds: from nothing, from a release, and all at once."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.tables import METADATA
from reward_server.storage.urls import parse_database_url, sqlite_url
from shared.errors import ConfigError
from tests.unit.reward_server.world import make_metrics

RELEASED = """
CREATE TABLE outcomes (
    key VARCHAR(64) NOT NULL,
    state_id TEXT NOT NULL,
    tls_id TEXT NOT NULL,
    decision TEXT,
    horizon_s INTEGER NOT NULL,
    simulator TEXT NOT NULL,
    metrics TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (key)
) WITHOUT ROWID;
PRAGMA user_version=1;
"""
"""What release 0.1 made of an empty file."""

STARTER = """
import asyncio, sys
from reward_server.storage.database import Database
from reward_server.storage.urls import parse_database_url

async def main():
    database = Database(parse_database_url(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    await database.start()
    await database.close()

asyncio.run(main())
"""
"""A gateway's start as far as the database goes, when it is told to."""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A plain connection, without the gateway's ways of connecting."""
    parsed = parse_database_url(url)
    plain = parsed.set(drivername=parsed.drivername.replace("+aiosqlite", ""))
    engine = create_engine(plain)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


async def start(url: str) -> None:
    """Starts a database and closes it."""
    database = Database(parse_database_url(url))
    await database.start()
    await database.close()


def differences(url: str) -> list[object]:
    """What the tables of a database have that ours have not, and the other way round."""
    with connected(url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, METADATA))


async def test_migrations_lead_to_the_tables_that_the_program_uses(database_url: str) -> None:
    """From an empty database; doing it again changes nothing."""
    await start(database_url)
    assert differences(database_url) == []
    await start(database_url)
    assert differences(database_url) == []


async def test_newer_database_is_refused(database_url: str) -> None:
    """And left as it is."""
    await start(database_url)
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=r"revision 9999.*newer release"):
        await start(database_url)
    with connected(database_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


async def test_tables_of_others_are_refused(database_url: str) -> None:
    """A database that happens to have our table's name is not ours."""
    with connected(database_url) as connection:
        connection.execute(text("CREATE TABLE outcomes (number INTEGER)"))
    with pytest.raises(ConfigError, match="did not create"):
        await start(database_url)


async def test_failed_start_changes_nothing(database_url: str) -> None:
    """A step that cannot be done takes those before it back."""
    with connected(database_url) as connection:
        connection.execute(text("CREATE TABLE job_chunks (number INTEGER)"))
    with pytest.raises(ConfigError, match="cannot open"):
        await start(database_url)
    with connected(database_url) as connection:
        connection.execute(text("DROP TABLE job_chunks"))
    await start(database_url)
    assert differences(database_url) == []


def test_gateways_that_start_together_wait_for_each_other(database_url: str) -> None:
    """Each finds the tables, whoever makes them."""
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("\n")
        starter.stdin.flush()
    ended = [(starter.communicate(timeout=30)[1], starter.returncode) for starter in starters]
    assert ended == [("", 0)] * 4
    assert differences(database_url) == []


async def test_ledger_of_the_first_release_is_adopted(tmp_path: Path) -> None:
    """With all its outcomes."""
    path, metrics = tmp_path / "ledger.sqlite", make_metrics(0.1 + 0.2)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(RELEASED)
        connection.execute(
            "INSERT INTO outcomes VALUES ('k', 's@1-2', 'C', NULL, 60, 'sumo 1.28.0', ?, 1.5)",
            (metrics.model_dump_json(),),
        )
    database = Database(sqlite_url(path))
    await database.start()
    found = await Ledger(database).get_many(["k"])
    await database.close()
    assert found == {"k": metrics}
    assert differences(f"sqlite:///{path}") == []


async def test_ledger_of_another_time_is_refused(tmp_path: Path) -> None:
    """A version that no release had."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(RELEASED.replace("user_version=1", "user_version=2"))
    with pytest.raises(ConfigError, match="another data directory"):
        await Database(sqlite_url(path)).start()
