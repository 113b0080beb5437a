"""Databases that fail: every answer is right or an error, nothing acknowledged is lost, and what
was in the way only for a while is forgotten when it is gone.
"""

import asyncio
import itertools
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select

from reward_server.storage import sqlite
from reward_server.storage.coalescer import BATCH_ITEMS
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.tables import OUTCOMES
from reward_server.storage.urls import parse_database_url
from shared.errors import ConfigError, LedgerError
from tests.integration.reward_server.postgres import PostgresServer
from tests.unit.reward_server.world import make_metrics, opened_ledger, outcome, record_all


@dataclass
class Load:
    """Tasks that put and get without a pause, and check what they get."""

    ledger: Ledger
    acknowledged: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    is_over: bool = False
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Goes on until it is over."""
        while not self.is_over:
            try:
                await self._turn()
            except LedgerError:
                self.failures += 1
                self.failed.set()
                await asyncio.sleep(0.001)

    async def _turn(self) -> None:
        number = next(self.numbers)
        keys = {f"{number}-{i}": number + i / 7 for i in range(5)}
        await record_all(self.ledger, [outcome(key, queue) for key, queue in keys.items()])
        self.acknowledged |= keys
        asked = {*keys, *list(self.acknowledged)[:50]}
        found = await self.ledger.get_many([*asked, f"never {number}"])
        assert found == {key: make_metrics(self.acknowledged[key]) for key in asked}
        self.done.set()


async def test_killed_server_loses_and_changes_nothing(postgres: PostgresServer) -> None:
    """It is killed under load, is away for a while, comes back, and is asked on."""
    url = postgres.new_database()
    async with opened_ledger(url) as ledger:
        load = Load(ledger)
        tasks = [asyncio.create_task(load.run()) for _ in range(6)]
        for _ in range(3):
            await _next(load.done)
            await asyncio.to_thread(postgres.stop, "immediate")
            await _next(load.failed)
            await asyncio.to_thread(postgres.start)
            await _next(load.done)
        load.is_over = True
        await asyncio.gather(*tasks)
    assert load.failures
    async with opened_ledger(url) as reopened:
        found = await reopened.get_many(list(load.acknowledged))
    assert found == {key: make_metrics(queue) for key, queue in load.acknowledged.items()}


async def test_quick_restart_is_not_noticed(postgres: PostgresServer) -> None:
    """Connections that a restart has broken are replaced before anything is asked on them."""
    async with opened_ledger(postgres.new_database()) as ledger:
        await record_all(ledger, [outcome("a")])
        await asyncio.to_thread(postgres.restart, "immediate")
        assert list(await ledger.get_many(["a"])) == ["a"]
        await record_all(ledger, [outcome("b")])


@pytest.mark.parametrize("statement", ["SELECT outcomes", "INSERT INTO outcomes"])
async def test_connection_that_breaks_on_the_way_is_replaced(
    postgres: PostgresServer, statement: str
) -> None:
    """Once. If that one breaks as well, it is an error."""
    url = postgres.new_database()
    async with opened_ledger(url) as ledger:
        with _broken_connections(url, statement, times=1) as broken:
            await _put_and_get(ledger, "a")
        assert broken == [1]
        with _broken_connections(url, statement, times=2), pytest.raises(LedgerError):
            await _put_and_get(ledger, "b")
        assert list(await ledger.get_many(["a"])) == ["a"]


async def test_cancelled_transactions_harm_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a task is cancelled, it leaves no lock, and what it began is as if it never was."""
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 500)
    database = Database(parse_database_url(database_url))
    await database.start()

    async def write(key: str) -> None:
        async with database.begin() as connection:
            await connection.scalar(select(func.count()).select_from(OUTCOMES))
            await connection.execute(insert(OUTCOMES).values(row | {"key": f"{key} 1"}))
            await connection.execute(insert(OUTCOMES).values(row | {"key": f"{key} 2"}))

    row = {"state_id": "s", "tls_id": "t", "horizon_s": 1}
    row |= {"simulator": "x", "metrics": "{}", "created_at": 0.0}
    cancelled = []
    for number in range(150):
        task = asyncio.create_task(write(str(number)))
        for _ in range(number % 30):
            await asyncio.sleep(0)
        await asyncio.sleep(number % 5 * 0.0005)
        task.cancel()
        cancelled.append(task)
        await asyncio.wait([task])
    assert {type(task.exception()) for task in cancelled if not task.cancelled()} <= {type(None)}
    assert any(task.cancelled() for task in cancelled)
    await write("last")
    async with database.read() as connection:
        keys = set(await connection.scalars(select(OUTCOMES.c.key)))
    await database.close()
    assert {"last 1", "last 2"} <= keys
    for number, task in enumerate(cancelled):
        halves = {f"{number} 1", f"{number} 2"}
        assert len(halves & keys) in ((0, 2) if task.cancelled() else (2,))


async def test_locked_file_is_an_error_until_it_is_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the gateway goes on with other things meanwhile."""
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 200)
    path = tmp_path / "ledger.sqlite"
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await record_all(ledger, [outcome("a")])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            writing = asyncio.create_task(record_all(ledger, [outcome("b")]))
            assert await _turns_until(writing) > 20, "the event loop must not wait"
            with pytest.raises(LedgerError, match="locked"):
                await writing
            assert list(await ledger.get_many(["a", "b"])) == ["a"]
        await record_all(ledger, [outcome("b")])
        assert sorted(await ledger.get_many(["a", "b"])) == ["a", "b"]


async def test_full_disk_is_an_error_until_there_is_room(tmp_path: Path) -> None:
    """What was recorded before can still be read."""
    path = tmp_path / "ledger.sqlite"
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await record_all(ledger, [outcome("a")])
        written = (tmp_path / "ledger.sqlite-wal").stat().st_size
        many = [outcome(str(i)) for i in range(BATCH_ITEMS)]
        with _no_file_beyond(written + 50_000):
            for _ in range(2):
                with pytest.raises(LedgerError, match=r"disk|full"):
                    await record_all(ledger, many)
            assert list(await ledger.get_many(["a", "0", "499"])) == ["a"]
        await record_all(ledger, many)
        assert len(await ledger.get_many([key for key, *_ in many])) == BATCH_ITEMS


async def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    """Neither a miss nor a number."""
    path = tmp_path / "ledger.sqlite"
    keys = [str(i) for i in range(500)]
    async with opened_ledger(f"sqlite:///{path}") as ledger:
        await record_all(ledger, [outcome(key) for key in keys])
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    with pytest.raises((ConfigError, LedgerError)):
        async with opened_ledger(f"sqlite:///{path}") as ledger:
            await ledger.get_many(keys)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://greenfork:hush-hush@127.0.0.1:1/rewards",
        "postgresql://greenfork@127.0.0.1:1/rewards?password=hush-hush",
        "postgresql://greenfork@127.0.0.1:1/rewards?passwrod=hush-hush",
    ],
)
async def test_server_that_cannot_be_reached_is_told_without_the_password(url: str) -> None:
    """With a way out."""
    with pytest.raises(ConfigError, match="GREENFORK_SERVER_DATABASE_URL") as caught:
        await Database(parse_database_url(url)).start()
    told: BaseException | None = caught.value
    while told is not None:
        assert "hush-hush" not in f"{told} {told!r}"
        told = told.__cause__


async def _put_and_get(ledger: Ledger, key: str) -> None:
    await record_all(ledger, [outcome(key)])
    assert list(await ledger.get_many([key])) == [key]


@contextmanager
def _broken_connections(url: str, statement: str, times: int) -> Iterator[list[int]]:
    """The server ends all connections right before a statement is sent; tells the rounds."""
    told: list[int] = []

    def break_all(_: Connection, __: object, sent: str, *___: object) -> None:
        if sent.startswith(statement) and len(told) < times:
            told.append(len(told) + 1)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    event.listen(Engine, "before_cursor_execute", break_all)
    try:
        yield told
    finally:
        event.remove(Engine, "before_cursor_execute", break_all)


async def _next(signal: asyncio.Event) -> None:
    signal.clear()
    await asyncio.wait_for(signal.wait(), timeout=20)


async def _turns_until(task: asyncio.Task[None]) -> int:
    """How often the event loop comes round until a task is done."""
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    return turns


@contextmanager
def _no_file_beyond(size: int) -> Iterator[None]:
    """Whoever writes beyond so many bytes is told that it cannot be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
