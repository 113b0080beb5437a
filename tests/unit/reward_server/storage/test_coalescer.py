"""Many small requests as few batches."""

import asyncio
from collections.abc import Sequence

import pytest

from reward_server.storage.coalescer import BATCH_ITEMS, Coalescer
from shared.errors import LedgerError


class FakeDatabase:
    """Knows every key that does not begin with ``no``; answers one query after the other."""

    def __init__(self) -> None:
        self.queries: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def query(self, keys: Sequence[str]) -> dict[str, str]:
        """Answers when the gate is open; fails once where an error is set."""
        self.queries.append(list(keys))
        await self.gate.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return {key: key.upper() for key in keys if not key.startswith("no")}


async def settle() -> None:
    """Lets every task run as far as it gets."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_is_one_batch() -> None:
    """The first is asked for at once; the others share the next, and each gets all of it."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    first = asyncio.create_task(lookups.submit(["a"]))
    await settle()
    others = [asyncio.create_task(lookups.submit([f"k{i}", "no"])) for i in range(100)]
    await settle()
    assert not first.done()
    database.gate.set()
    assert await first == {"a": "A"}
    everything = {f"k{i}": f"K{i}" for i in range(100)}
    assert await asyncio.gather(*others) == [everything] * 100
    assert [len(keys) for keys in database.queries] == [1, 200]


async def test_batches_are_bounded_and_nobody_is_left_out() -> None:
    """What does not fit makes the batch after; what is larger than any is one of its own."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    sizes = (1, BATCH_ITEMS, BATCH_ITEMS - 1, 1, BATCH_ITEMS + 1)
    asked = [[f"{n}-{i}" for i in range(size)] for n, size in enumerate(sizes)]
    tasks = [asyncio.create_task(lookups.submit(keys)) for keys in asked]
    database.gate.set()
    for keys, found in zip(asked, await asyncio.gather(*tasks), strict=True):
        assert found.keys() >= set(keys)
    sent = [len(keys) for keys in database.queries]
    assert sent == [1, BATCH_ITEMS, BATCH_ITEMS, BATCH_ITEMS + 1]


async def test_error_reaches_each_who_shares_the_batch_and_nobody_else() -> None:
    """The next batch is as good as any."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    database.error = LedgerError("gone")
    failing = [asyncio.create_task(lookups.submit([key])) for key in "ab"]
    await settle()
    later = asyncio.create_task(lookups.submit(["c"]))
    await settle()
    database.gate.set()
    for task in failing:
        with pytest.raises(LedgerError, match="gone"):
            await task
    assert await later == {"c": "C"}


async def test_bug_in_the_work_leaves_nobody_waiting() -> None:
    """Whoever waits gets an error, and the next one asks anew."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    database.error = ZeroDivisionError()
    first = asyncio.create_task(lookups.submit(["a"]))
    await settle()
    second = asyncio.create_task(lookups.submit(["b"]))
    await settle()
    database.gate.set()
    for task in (first, second):
        with pytest.raises(LedgerError, match="cancelled"):
            await task
    with pytest.raises(ZeroDivisionError):
        await lookups.close()
    assert await lookups.submit(["c"]) == {"c": "C"}


async def test_who_stops_waiting_harms_nobody() -> None:
    """Others get what they asked for, and what was to be done is done all the same."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    tasks = [asyncio.create_task(lookups.submit(["a"]))]
    await settle()
    tasks += [asyncio.create_task(lookups.submit([key])) for key in "bc"]
    await settle()
    tasks[1].cancel()
    database.gate.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert database.queries == [["a"], ["b", "c"]]


async def test_closing_waits_for_the_batch_under_way() -> None:
    """So that the database can be closed after it."""
    database = FakeDatabase()
    lookups = Coalescer(database.query)
    asking = asyncio.create_task(lookups.submit(["a"]))
    await settle()
    closing = asyncio.create_task(lookups.close())
    await settle()
    assert not closing.done()
    database.gate.set()
    await closing
    assert await asking == {"a": "A"}
