"""What the ledger promises, on databases of both kinds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event

from reward_server.storage.coalescer import BATCH_ITEMS
from tests.unit.reward_server.world import make_metrics, opened_ledger, outcome, record_all


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The queries of all databases meanwhile."""
    seen: list[str] = []

    def note(_: Connection, __: object, statement: str, *___: object) -> None:
        if statement.startswith("SELECT outcomes"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_outcomes_survive_reopening_to_the_last_bit(database_url: str) -> None:
    """Floats come back as they were, with the series."""
    async with opened_ledger(database_url) as ledger:
        await record_all(ledger, [outcome("a", 0.1 + 0.2)])
    async with opened_ledger(database_url) as reopened:
        assert await reopened.get_many(["a", "b"]) == {"a": make_metrics(0.1 + 0.2)}


async def test_first_outcome_stands(database_url: str) -> None:
    """What is on record is never changed."""
    async with opened_ledger(database_url) as ledger:
        await record_all(ledger, [outcome("a", 1.0), outcome("b", 1.0), outcome("a", 3.0)])
        await record_all(ledger, [outcome("a", 2.0), outcome("c", 2.0)])
        found = await ledger.get_many(["a", "b", "c"])
    assert [found[key] for key in "abc"] == [make_metrics(queue) for queue in (1.0, 1.0, 2.0)]


async def test_many_keys_are_looked_up_at_once(database_url: str) -> None:
    """More than a database takes in one query."""
    async with opened_ledger(database_url) as ledger:
        await record_all(ledger, [outcome(str(i)) for i in range(1200)])
        found = await ledger.get_many([str(i) for i in range(1300)])
    assert len(found) == 1200


async def test_nothing_is_asked_for_nothing(database_url: str) -> None:
    """Empty batches are fine."""
    async with opened_ledger(database_url) as ledger:
        await record_all(ledger, [])
        with counted_queries() as queries:
            assert await ledger.get_many([]) == {}
    assert queries == []


async def test_many_small_look_ups_are_few_queries(database_url: str) -> None:
    """Hundreds of requests at a time wait for one query, and share the next."""
    async with opened_ledger(database_url) as ledger:
        await record_all(ledger, [outcome(str(i), i) for i in range(300)])
        with counted_queries() as queries:
            found = await asyncio.gather(*(ledger.get_many([str(i), "none"]) for i in range(300)))
    assert found == [{str(i): make_metrics(i)} for i in range(300)]
    assert len(queries) <= 2 + 600 // BATCH_ITEMS


async def test_gateways_share_one_database(database_url: str) -> None:
    """What one has recorded, the other knows at once; recording the same at once harms neither."""
    keys = [str(i) for i in range(300)]
    async with (
        opened_ledger(database_url) as one,
        opened_ledger(database_url) as other,
    ):
        await record_all(one, [outcome("first", 7.0)])
        assert (await other.get_many(["first"]))["first"] == make_metrics(7.0)
        for turn in range(5):
            outcomes = [outcome(f"{turn}-{key}") for key in keys]
            await asyncio.gather(record_all(one, outcomes), record_all(other, outcomes[::-1]))
            asked = [key for key, *_ in outcomes]
            assert await one.get_many(asked) == await other.get_many(asked)
            assert len(await one.get_many(asked)) == len(keys)
