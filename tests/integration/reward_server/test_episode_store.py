"""Episodes in real databases of both kinds: recorded once, copied, finished, deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from reward_server.episodes.step_writes import StepWrite
from reward_server.episodes.store import EpisodeStore, ForkedEpisode, NewEpisode
from reward_server.storage.database import Database
from reward_server.storage.urls import parse_database_url
from shared.wire.episodes import EpisodeRequest
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec

SPEC = EpisodeSpec.of(EpisodeRequest(scenario_id="x", end_s=30), 1, 0.0, None)
AT_BEGIN = Position.at_begin(SPEC, "x")


def answer_of(episode_id: str, text: str) -> bytes:
    """What an answer begins with, and something."""
    return f'{{"episode_id":"{episode_id}","said":"{text}"}}'.encode()


def new_episode(letter: str, request_key: str | None = None) -> NewEpisode:
    """One that has begun."""
    return NewEpisode(
        episode_id=letter * 32,
        caller="ann",
        request_key=request_key,
        digest="d",
        scenario_id="x",
        state_id=None,
        spec=SPEC,
        signals=("C",),
        at=AT_BEGIN,
        time_s=0.0,
        answer=answer_of(letter * 32, "begin"),
    )


def write_of(letter: str, number: int, request: bytes = b"{}") -> StepWrite:
    """A step that was done."""
    return StepWrite(
        episode_id=letter * 32,
        at=Position(steps=number + 1, digest=f"{number:064x}"),
        time_s=10.0 * (number + 1),
        request=request,
        answer=answer_of(letter * 32, f"step {number}"),
        actions=f"{number}\n".encode(),
    )


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[EpisodeStore]:
    """A store on a database."""
    database = Database(parse_database_url(url))
    await database.start()
    store = EpisodeStore(database)
    try:
        yield store
    finally:
        await store.close()
        await database.close()


async def test_a_step_is_recorded_once(database_url: str) -> None:
    """Two gateways at the same step: one of them has done it, the other one is told."""
    async with opened(database_url) as store, opened(database_url) as other:
        await store.create(new_episode("a"))
        for number in range(10):
            writes = [write_of("a", number, b"ours"), write_of("a", number, b"theirs")]
            pairs = zip((store, other), writes, strict=True)
            done = await asyncio.gather(*(one.append(write) for one, write in pairs))
            assert sorted(done) == [False, True]
            step = await store.step("a" * 32, number)
            assert step is not None
            assert step.request == (b"ours" if done[0] else b"theirs")
        assert not await store.append(write_of("a", 17))
        found = await other.find("a" * 32)
        assert found is not None
        assert (found.at.steps, found.time_s) == (10, 100.0)


async def test_steps_of_many_go_together(database_url: str) -> None:
    """Each is told about its own; one that is not due does not hold up the others."""
    async with opened(database_url) as store:
        for letter in "abcd":
            await store.create(new_episode(letter))
        writes = [write_of("a", 0), write_of("b", 1), write_of("c", 0), write_of("d", 0)]
        assert await asyncio.gather(*map(store.append, writes)) == [True, False, True, True]


async def test_a_key_names_one_episode(database_url: str) -> None:
    """Whoever is first; the other one gets it."""
    async with opened(database_url) as store:
        first, second = await asyncio.gather(
            store.create(new_episode("a", "k")), store.create(new_episode("b", "k"))
        )
        assert {first[1], second[1]} == {True, False}
        assert first[0].episode_id == second[0].episode_id
        assert (await store.create(new_episode("c")))[1]


async def test_an_episode_is_copied_finished_and_deleted(database_url: str) -> None:
    """With its steps; what is deleted leaves a mark, which goes when it is old."""
    async with opened(database_url) as store:
        await store.create(new_episode("a"))
        await store.append(write_of("a", 0))
        origin = await store.find("a" * 32)
        assert origin is not None
        fork = ForkedEpisode("f" * 32, "ann", "k", answer_of("f" * 32, "step 0"))
        assert await store.fork(origin, fork)
        assert not await store.fork(origin, replace(fork, episode_id="e" * 32))
        assert await store.requests("f" * 32, 1) == [b"{}"]
        step = await store.step("f" * 32, 0)
        assert step is not None
        assert step.answer == answer_of("f" * 32, "step 0")
        last = replace(write_of("f", 1), figures=b'{"a": 1}', tripinfo=b"<trips/>")
        assert await store.append(last)
        assert await store.figures("f" * 32) == '{"a": 1}'
        assert await store.tripinfo("f" * 32) == b"<trips/>"
        assert b"".join([part async for part in store.actions("f" * 32, 2)]) == b"0\n1\n"
        assert not await store.append(write_of("f", 2))
        await store.delete("f" * 32)
        gone = await store.find("f" * 32)
        assert gone is not None
        assert (gone.status, await store.step("f" * 32, 0)) == ("deleted", None)
        totals = await store.totals()
        assert (totals.running, totals.finished) == (1, 0)
        assert await store.sweep(-1) == 1
        assert await store.find("f" * 32) is None
