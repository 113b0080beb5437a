"""Writing outcomes down in batches."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger, LedgerEntry
from reward_server.storage.recorder import Recorder
from reward_server.storage.urls import sqlite_url
from shared.errors import LedgerError
from sim_workers.pool.rollouts import RolloutTask
from tests.unit.reward_server.world import GREEN, make_metrics

TASK = RolloutTask.of(GREEN, "C", None, 60)


class FakeLedger(Ledger):
    """Takes what comes when the gate is open."""

    def __init__(self) -> None:
        super().__init__(Database(sqlite_url(Path("nowhere"))))
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def put_many(self, entries: Sequence[LedgerEntry]) -> None:
        """Fails once where an error is set."""
        self.batches.append([entry.key for entry in entries])
        await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error


def record(recorder: Recorder, key: str) -> asyncio.Task[None]:
    """Begins to record an outcome."""
    entry = LedgerEntry(key, TASK, make_metrics(1.0), "sumo")
    return asyncio.create_task(recorder.record(entry))


async def settle() -> None:
    """Lets every task run as far as it gets."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_is_one_batch() -> None:
    """The first is written at once, all others after it, together."""
    ledger = FakeLedger()
    recorder = Recorder(ledger)
    tasks = [record(recorder, "a")]
    await settle()
    tasks += [record(recorder, key) for key in "bcd"]
    await settle()
    assert not any(task.done() for task in tasks)
    ledger.gate.set()
    await asyncio.gather(*tasks)
    assert ledger.batches == [["a"], ["b", "c", "d"]]


async def test_error_reaches_the_batch_and_nobody_else() -> None:
    """Who comes later is not told of it."""
    ledger = FakeLedger()
    recorder = Recorder(ledger)
    ledger.error = LedgerError("full")
    first = record(recorder, "a")
    await settle()
    second = record(recorder, "b")
    await settle()
    ledger.gate.set()
    with pytest.raises(LedgerError, match="full"):
        await first
    await second


async def test_bug_in_the_ledger_leaves_nobody_waiting() -> None:
    """Whoever waits gets an error, and the next one is written."""
    ledger = FakeLedger()
    recorder = Recorder(ledger)
    ledger.error = ZeroDivisionError()
    tasks = [record(recorder, "a")]
    await settle()
    tasks.append(record(recorder, "b"))
    await settle()
    ledger.gate.set()
    for task in tasks:
        with pytest.raises(LedgerError, match="cancelled"):
            await task
    with pytest.raises(ZeroDivisionError):
        await recorder.close()
    await record(recorder, "c")


async def test_who_stops_waiting_harms_nobody() -> None:
    """The outcome is recorded all the same."""
    ledger = FakeLedger()
    recorder = Recorder(ledger)
    tasks = [record(recorder, "a")]
    await settle()
    tasks += [record(recorder, key) for key in "bc"]
    await settle()
    tasks[1].cancel()
    ledger.gate.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert ledger.batches == [["a"], ["b", "c"]]
