"""Working on jobs: in order, again where it failed, on where another stopped, by turns."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from reward_server.storage.tables import JOBS, OUTCOMES
from reward_server.storage.urls import sqlite_url
from shared.decisions import Extend
from shared.errors import LedgerError, RolloutRejected, UnknownState, WorkerLost
from shared.rewards import Metrics
from shared.wire.jobs import JobResult
from shared.wire.scoring import Counts, ScoreItem
from sim_workers.engine.messages import Rollout
from sim_workers.pool.rollout import decisions_text, make_rollout
from tests.unit.reward_server.jobs.workshop import ANN, BOB, Workshop, make_items
from tests.unit.reward_server.world import GREEN, YELLOW, make_state

Open = Callable[..., Awaitable[Workshop]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens workshops on one database, and closes those that are left."""
    workshops: list[Workshop] = []

    async def open_one(name: str = "gateway") -> Workshop:
        workshops.append(await Workshop(sqlite_url(tmp_path / "jobs.sqlite"), name).open())
        return workshops[-1]

    yield open_one
    for workshop in workshops:
        await workshop.close()


async def test_results_stand_in_the_order_of_the_items(opened: Open) -> None:
    """Scored, invalid and failed ones, each with its id, and counted."""
    shop = await opened()
    items = [
        *make_items(5),
        ScoreItem(id="no", state_id=GREEN, tls_id="C", completion="?", decision_kind="extend"),
        ScoreItem(id=None, state_id=YELLOW, tls_id="C", decision=Extend(extend=True)),
    ]

    def refuse(rollout: Rollout) -> Metrics | None:
        if rollout == rollout_of(items[3]):
            raise RolloutRejected("refused")
        return None

    shop.rollouts.fail = refuse
    await shop.runner.start()
    job_id = await shop.send(items)
    job = await shop.finished(job_id)
    lines = [json.loads(line) for line in await shop.lines(job_id)]
    assert [line["id"] for line in lines] == [0, 1, 2, 3, 4, "no", None]
    assert [line["status"] for line in lines] == ["scored"] * 3 + ["failed", "scored"] + [
        "invalid"
    ] * 2
    assert lines[3]["reward"] is None
    assert all("cached" not in line for line in lines)
    assert (job.counts.scored, job.counts.invalid, job.counts.failed) == (4, 2, 1)
    assert (job.status, job.done, job.counts.rollouts) == ("done", 7, 5)
    assert {flow for flow, _ in shop.rollouts.flows} == {ANN.jobs()}


@pytest.mark.parametrize("moment", [1, 2, 4, 9, 16, 23])
async def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    opened: Open, tmp_path: Path, moment: int
) -> None:
    """And what is in the ledger is not rolled out again."""
    items = make_items(24)
    first = await opened("first")
    first.rollouts.fail = closing_the_gate(first, moment)
    await first.runner.start()
    job_id = await first.send(items)
    await first.rollouts.has_begun(moment)
    for _ in range(5):  # let some of it get recorded
        await first.store.totals()
    await first.crash()
    second = await opened("second")
    known = await recorded(second)
    assert len(known) < 24
    await second.runner.start()
    job = await second.finished(job_id)
    assert (job.status, job.counts.scored) == ("done", 24)
    rolled_out = {decisions_text(rollout) for rollout in second.rollouts.runs}
    assert not known & rolled_out
    assert known | rolled_out == {decisions_text(rollout_of(item)) for item in items}
    undisturbed = await Workshop(sqlite_url(tmp_path / "other.sqlite")).open()
    await undisturbed.runner.start()
    same_id = await undisturbed.send(items)
    await undisturbed.finished(same_id)
    assert await second.lines(job_id) == await undisturbed.lines(same_id)
    await undisturbed.close()


async def test_piece_counts_once_however_often_it_is_recorded(opened: Open) -> None:
    """As where the connection broke after the transaction, and nobody knows."""
    shop = await opened()
    job_id = await shop.send(make_items(4))
    await shop.leases.claim([])
    counts = Counts(scored=2, invalid=0, failed=0, cached=1, rollouts=2)
    for _ in range(3):
        job = await shop.leases.finish_chunk(job_id, 0, [b"{}", b"{}"], counts)
        assert job is not None
        assert (job.counts, job.status) == (counts, "running")
    for _ in range(2):
        last = await shop.leases.finish_chunk(job_id, 1, [b"{}", b"{}"], counts)
        assert last is not None
        assert (last.done, last.status) == (4, "done")


async def test_another_gateway_takes_over_when_the_lease_has_run_out(opened: Open) -> None:
    """Not before; and the first one, which was only stopped, finds that it has lost the job."""
    first, second = await opened("first"), await opened("second")
    first.rollouts.gate.clear()
    second.rollouts.gate.clear()
    await first.runner.start()
    job_id = await first.send(make_items(3))
    await first.rollouts.has_begun(3)
    await second.leases.claim([])
    assert await second.leases.renew() == []
    await expire(second)
    await second.leases.claim([])
    assert [job.job_id for job in await second.leases.renew()] == [job_id]
    first.rollouts.gate.set()
    await first.changes.ticket(job_id).wait()
    found = await second.store.find(job_id)
    assert found is not None
    assert found.done == 0, "only the owner's results are taken"


async def test_outage_of_the_database_is_waited_for_without_end(opened: Open) -> None:
    """However often it is tried: nothing fails, and delays grow up to their limit."""
    shop = await opened()
    broken = 24

    async def break_off(*_: object) -> None:
        nonlocal broken
        if broken:
            broken -= 1
            raise LedgerError("the disk is full")

    put, finish = shop.services.ledger.record, shop.leases.finish_chunk

    async def record(*outcome: Any) -> None:  # noqa: ANN401
        await break_off()
        await put(*outcome)

    async def finish_chunk(*args: Any) -> Any:  # noqa: ANN401
        await break_off()
        return await finish(*args)

    shop.services.ledger.record = record  # type: ignore[assignment, method-assign]
    shop.leases.finish_chunk = finish_chunk  # type: ignore[assignment, method-assign]
    await shop.runner.start()
    job = await shop.finished(await shop.send(make_items(2)))
    assert (job.status, job.counts.scored, job.counts.failed) == ("done", 2, 0)
    assert broken == 0
    assert shop.slept_s[:3] == [0.5, 1.0, 2.0]
    assert max(shop.slept_s) == 30.0


async def test_items_that_fail_are_tried_again_so_often(opened: Open) -> None:
    """Five times, later and later; then the failure stands, and nothing else is touched."""
    shop = await opened()
    unlucky = rollout_of(make_items(1)[0])

    def fail(rollout: Rollout) -> None:
        if rollout == unlucky:
            raise WorkerLost("gone")

    shop.rollouts.fail = fail
    await shop.runner.start()
    job_id = await shop.send(make_items(3))
    job = await shop.finished(job_id)
    assert (job.counts.scored, job.counts.failed) == (2, 1)
    assert shop.rollouts.runs[unlucky] == 6
    assert shop.rollouts.runs.total() == 8
    assert shop.slept_s == [0.5, 1.0, 2.0, 4.0, 8.0]
    first = json.loads((await shop.lines(job_id))[0])
    assert (first["reward"], first["error"]["code"]) == (None, "worker_lost")


async def test_others_work_while_a_piece_waits(opened: Open) -> None:
    """A job whose workers crash holds nobody up."""
    shop = await opened()
    unlucky = {rollout_of(item) for item in make_items(4)}
    is_calm = asyncio.Event()

    def fail(rollout: Rollout) -> None:
        if rollout in unlucky and not is_calm.is_set():
            raise WorkerLost("gone")

    shop.rollouts.fail = fail
    shop.sleep_until = is_calm
    await shop.runner.start()
    slow = await shop.send(make_items(4), ANN)
    quick = await shop.send(make_items(6, first=60), BOB)
    await shop.finished(quick)
    is_calm.set()
    assert (await shop.finished(slow)).counts.scored == 4


async def test_callers_take_turns(opened: Open) -> None:
    """A small job is not behind a large one of somebody else, and each caller's are in order."""
    shop = await opened()
    large = await shop.send(make_items(40), ANN)
    later = await shop.send(make_items(2, first=100), ANN)
    small = await shop.send(make_items(6, first=60), BOB)
    await shop.runner.start()
    await shop.finished(small)
    job = await shop.store.find(large)
    assert job is not None
    assert job.done <= 10
    await shop.finished(later)
    first, second = await shop.store.find(large), await shop.store.find(later)
    assert first is not None
    assert second is not None
    assert (first.finished_at or 0) <= (second.started_at or 0)


async def test_dropping_a_job_ends_its_rollouts(opened: Open) -> None:
    """And what it would have written goes nowhere."""
    shop = await opened()
    shop.rollouts.gate.clear()
    await shop.runner.start()
    job_id = await shop.send(make_items(8))
    await shop.rollouts.has_begun(4)
    shop.runner.drop(job_id)
    await shop.store.delete(job_id)
    assert shop.rollouts.ended == shop.rollouts.runs.total() >= 4
    assert await shop.store.find(job_id) is None
    assert await shop.store.results(job_id, 0) is None


async def test_job_that_cannot_go_on_says_why(opened: Open) -> None:
    """As when its states are served no more: what is done is kept."""
    shop = await opened()
    await shop.runner.start()
    stranger = ScoreItem(state_id="gone@1-aaaaaaaaaaaa", tls_id="C", decision=Extend(extend=True))
    job_id = await shop.send([*make_items(6), stranger])
    job = await shop.finished(job_id)
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", UnknownState.code)
    assert job.done >= 2


async def test_fault_of_ours_fails_the_job_and_not_the_runner(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next job is worked on."""
    shop = await opened()
    await shop.runner.start()
    with monkeypatch.context() as patch:
        patch.setattr(JobResult, "of", lambda result: 1 / 0)
        job = await shop.finished(await shop.send(make_items(2)))
    assert job.error is not None
    assert (job.status, job.error.code) == ("failed", "internal")
    assert (await shop.finished(await shop.send(make_items(2)))).status == "done"


def rollout_of(item: ScoreItem) -> Rollout:
    """The rollout of an item."""
    assert item.decision is not None
    return make_rollout(make_state(item.state_id), {"C": item.decision}, 60)


def closing_the_gate(shop: Workshop, runs: int) -> Callable[[Rollout], None]:
    """Lets so many rollouts through."""

    def close(_rollout: Rollout) -> None:
        if shop.rollouts.runs.total() >= runs:
            shop.rollouts.gate.clear()

    return close


async def recorded(shop: Workshop) -> set[str | None]:
    """The decisions in the ledger."""
    async with shop.database.read() as connection:
        return set((await connection.execute(select(OUTCOMES.c.decision))).scalars())


async def expire(shop: Workshop) -> None:
    """Lets all leases run out."""
    async with shop.database.begin() as connection:
        await connection.execute(update(JOBS).values(lease_until=1.0))
