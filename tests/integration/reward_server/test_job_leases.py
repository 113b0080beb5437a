"""Several gateways on one PostgreSQL: each job has one of them, until that one is silent."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from reward_server.storage.urls import parse_database_url
from shared.errors import LedgerError
from tests.integration.reward_server.postgres import PostgresServer
from tests.unit.reward_server.jobs.workshop import ANN, BOB, Workshop, make_items

Open = Callable[[str], Awaitable[Workshop]]

_LIMIT_S = 60
LEASE_S = 1.0
"""Shorter than the time between two beats: a gateway takes what is free when it is nudged."""


@pytest.fixture
async def opened(postgres: PostgresServer) -> AsyncIterator[Open]:
    """Opens gateways on one new database."""
    url = parse_database_url(postgres.new_database())
    workshops: list[Workshop] = []

    async def open_one(name: str) -> Workshop:
        workshops.append(await Workshop(url, name, lease_s=LEASE_S).open())
        return workshops[-1]

    yield open_one
    for workshop in workshops:
        await workshop.close()


async def test_silent_gateway_loses_its_jobs_to_another(opened: Open) -> None:
    """Which goes on where the first one was, and rolls nothing out that is in the ledger."""
    first, second = await opened("first"), await opened("second")

    def close_gate(_task: object) -> None:
        if first.rollouts.runs.total() >= 9:
            first.rollouts.gate.clear()

    first.rollouts.fail = close_gate
    await first.runner.start()
    job_id = await first.send(make_items(20))
    await first.progressed(job_id, 4)
    await first.crash()
    await second.runner.start()
    assert not second.rollouts.runs, "the lease has not run out"
    for _ in range(3):
        await asyncio.sleep(LEASE_S / 2)
        second.runner.nudge()
    job = await second.finished(job_id)
    assert (job.status, job.counts.scored) == ("done", 20)
    assert second.rollouts.runs.total() <= 16
    assert len(await second.lines(job_id)) == 20


async def _all_done(shop: Workshop, job_ids: Sequence[str]) -> bool:
    jobs = [await shop.store.find(job_id) for job_id in job_ids]
    return all(job is not None and job.status == "done" for job in jobs)


async def test_two_gateways_share_the_jobs(opened: Open) -> None:
    """Nothing is worked on by both, whoever sent it."""
    first, second = await opened("first"), await opened("second")
    sent = [await first.send(make_items(10, i * 10), (ANN, BOB)[i % 2]) for i in range(6)]
    await asyncio.gather(first.runner.start(), second.runner.start())
    async with asyncio.timeout(_LIMIT_S):
        while not await _all_done(first, sent):
            await asyncio.sleep(0.05)
            second.runner.nudge()
    assert first.rollouts.runs.total() + second.rollouts.runs.total() == 60
    assert first.rollouts.runs
    assert second.rollouts.runs


async def test_job_outlives_a_restart_of_the_database(
    postgres: PostgresServer, opened: Open
) -> None:
    """Nothing fails; what could not be written is written later."""
    shop = await opened("only")
    shop.rollouts.gate.clear()
    await shop.runner.start()
    job_id = await shop.send(make_items(6))
    await shop.rollouts.has_begun(4)
    postgres.stop("immediate")
    try:
        shop.rollouts.gate.set()
        await shop.has_slept.wait()
    finally:
        postgres.start()
    job = None
    async with asyncio.timeout(_LIMIT_S):
        while job is None or job.finished_at is None:
            await asyncio.sleep(0.05)
            with contextlib.suppress(LedgerError):
                job = await shop.store.find(job_id)
    assert (job.status, job.counts.scored, job.counts.failed) == ("done", 6, 0)


async def test_jobs_are_counted_listed_deleted_and_swept_away(opened: Open) -> None:
    """In this kind of database as in the other."""
    shop = await opened("only")
    await shop.runner.start()
    done = await shop.send(make_items(100), ANN)
    await shop.finished(done)
    await shop.runner.close()
    waiting = await shop.send(make_items(4), ANN)
    jobs, total = await shop.store.page("ann", limit=1, offset=1)
    assert ([job.job_id for job in jobs], total) == ([done], 2)
    assert abs(jobs[0].created_at - time.time()) < 60
    assert await shop.store.unfinished("ann") == 1
    totals = await shop.store.totals()
    assert (totals.by_status, totals.items_left) == ({"done": 1, "queued": 1}, 4)
    assert await shop.store.sweep(retention_s=3600) == 0
    assert await shop.store.sweep(retention_s=0) == 1
    assert await shop.store.find(done) is None
    await shop.store.delete(waiting)
    assert await shop.store.page("ann", limit=9, offset=0) == ([], 0)
    assert await shop.store.results(done, 0) is None
