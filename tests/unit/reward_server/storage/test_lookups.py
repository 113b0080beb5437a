"""Many small questions as few queries."""

import asyncio
from collections.abc import Sequence

import pytest

from reward_server.storage.lookups import KEYS_A_QUERY, Lookups
from shared.errors import LedgerError


class FakeDatabase:
    """Knows every key that does not begin with ``no``; answers one query after the other."""

    def __init__(self) -> None:
        self.queries: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def query(self, keys: Sequence[str]) -> dict[str, str]:
        """Answers when the gate is open."""
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


async def test_what_comes_meanwhile_is_one_query() -> None:
    """The first asks at once; the others share the next, and each key is asked for once."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    first = asyncio.create_task(lookups.find(["a"]))
    await settle()
    others = [asyncio.create_task(lookups.find([f"k{i}", "b", "no"])) for i in range(100)]
    await settle()
    database.gate.set()
    assert await first == {"a": "A"}
    assert await asyncio.gather(*others) == [{f"k{i}": f"K{i}", "b": "B"} for i in range(100)]
    assert [len(keys) for keys in database.queries] == [1, 102]


async def test_queries_are_bounded_and_nobody_is_left_out() -> None:
    """A large question is asked in parts; a small one comes between."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    many = [f"k{i}" for i in range(3 * KEYS_A_QUERY + 1)]
    large = asyncio.create_task(lookups.find(many))
    await settle()
    small = asyncio.create_task(lookups.find(["a"]))
    await settle()
    database.gate.set()
    assert await small == {"a": "A"}
    assert len(database.queries) < 4
    assert await large == {key: key.upper() for key in many}
    assert max(len(keys) for keys in database.queries) == KEYS_A_QUERY


async def test_error_reaches_each_who_shares_the_query_and_nobody_else() -> None:
    """The next query is as good as any."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    database.error = LedgerError("gone")
    failing = [asyncio.create_task(lookups.find([key])) for key in "ab"]
    await settle()
    later = asyncio.create_task(lookups.find(["c"]))
    await settle()
    database.gate.set()
    for task in failing:
        with pytest.raises(LedgerError, match="gone"):
            await task
    assert await later == {"c": "C"}


async def test_bug_in_the_query_leaves_nobody_waiting() -> None:
    """Whoever waits gets an error, and the next one asks anew."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    database.error = ZeroDivisionError()
    first = asyncio.create_task(lookups.find(["a"]))
    await settle()
    second = asyncio.create_task(lookups.find(["b"]))
    await settle()
    database.gate.set()
    for task in (first, second):
        with pytest.raises(LedgerError, match="cancelled"):
            await task
    with pytest.raises(ZeroDivisionError):
        await lookups.close()
    assert await lookups.find(["c"]) == {"c": "C"}


async def test_who_stops_waiting_harms_nobody() -> None:
    """Be it before its query is sent or while it is under way."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    tasks = [asyncio.create_task(lookups.find([key])) for key in "abcd"]
    await settle()
    full = [
        asyncio.create_task(lookups.find([f"{n}-{i}" for i in range(KEYS_A_QUERY)]))
        for n in range(2)
    ]
    last = asyncio.create_task(lookups.find(["z"]))
    await settle()
    for task in (tasks[1], *full):
        task.cancel()
    await settle()
    database.gate.set()
    waiting = {"a": tasks[0], "c": tasks[2], "d": tasks[3], "z": last}
    for key, task in waiting.items():
        assert await task == {key: key.upper()}
    assert len(database.queries) == 2


async def test_nothing_is_asked_for_nothing() -> None:
    """An empty question has an empty answer."""
    database = FakeDatabase()
    assert await Lookups(database.query).find([]) == {}
    assert database.queries == []


async def test_closing_waits_for_the_query_under_way() -> None:
    """So that the database can be closed after it."""
    database = FakeDatabase()
    lookups = Lookups(database.query)
    asking = asyncio.create_task(lookups.find(["a"]))
    await settle()
    closing = asyncio.create_task(lookups.close())
    await settle()
    assert not closing.done()
    database.gate.set()
    await closing
    assert await asking == {"a": "A"}
