"""Equal work once, for as long as somebody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reward_server.scoring.single_flight import SingleFlight
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import sqlite_url
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.pool.rollout import make_rollout
from tests.unit.reward_server.world import (
    GREEN,
    FakeRunner,
    let_time_pass,
    make_metrics,
    make_state,
)

ROLLOUT = make_rollout(make_state(GREEN), {"C": None}, 30)
TRAINER, JOB = Flow("trainer", 1.0), Flow("trainer/jobs", 0.1)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """A real ledger."""
    database = Database(sqlite_url(tmp_path / "ledger.sqlite"))
    await database.start()
    ledger = Ledger(database)
    yield ledger
    await ledger.close()
    await database.close()


@pytest.fixture
async def runner() -> FakeRunner:
    """A runner that waits to be let go."""
    runner = FakeRunner()
    runner.gate.clear()
    return runner


@pytest.fixture
async def single_flight(runner: FakeRunner, ledger: Ledger) -> AsyncIterator[SingleFlight]:
    """What is tested, on both."""
    single_flight = SingleFlight(runner, ledger, "sumo 1.28.0")
    yield single_flight
    await single_flight.close()


def in_s(seconds: float) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


def asked(
    single_flight: SingleFlight, flow: Flow = TRAINER
) -> "asyncio.Task[dict[str, RolloutOutcome]]":
    """Somebody who waits."""
    return asyncio.create_task(single_flight.fetch({"key": ROLLOUT}, in_s(60), flow, flow.name))


async def test_work_ends_when_the_last_one_leaves(
    single_flight: SingleFlight, runner: FakeRunner
) -> None:
    """Two wait for one rollout: it goes on when one leaves, and ends with the other."""
    first, second = asked(single_flight), asked(single_flight)
    await runner.has_begun(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert runner.ended == 0
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await asyncio.sleep(0)
    assert (runner.ended, runner.runs.total()) == (1, 1)


async def test_work_ends_at_the_deadline_of_the_last_one(
    single_flight: SingleFlight, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline does not only answer; the rollout ends."""
    waiting = asked(single_flight)
    await runner.has_begun(1)
    let_time_pass(monkeypatch, 61)
    error = (await waiting)["key"].error
    assert error is not None
    await asyncio.sleep(0)
    assert (error.code, runner.ended) == ("deadline_exceeded", 1)


async def test_who_comes_after_the_end_begins_anew(
    single_flight: SingleFlight, runner: FakeRunner
) -> None:
    """An ended rollout is nobody's failure but its own."""
    first = asked(single_flight)
    await runner.has_begun(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = asked(single_flight)
    await runner.has_begun(2)
    runner.gate.set()
    assert (await again)["key"].metrics is not None


async def test_what_nobody_waits_for_after_the_lookup_is_not_begun(
    single_flight: SingleFlight, runner: FakeRunner
) -> None:
    """A caller that leaves at once costs no rollout."""
    gone = asked(single_flight)
    await asyncio.sleep(0)
    gone.cancel()
    runner.gate.set()
    await asyncio.gather(gone, return_exceptions=True)
    await single_flight.close()
    assert runner.runs.total() == 0


async def _joined() -> None:
    """Gives others their turns on the loop: more than joining takes."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_trainer_lends_its_turn_to_a_job(
    single_flight: SingleFlight, runner: FakeRunner
) -> None:
    """What a job has begun and a trainer wants too gets the trainer's turn; not the reverse."""
    job = asked(single_flight, JOB)
    await runner.has_begun(1)
    trainer = asked(single_flight, TRAINER)
    await _joined()
    late_job = asked(single_flight, JOB)
    await _joined()
    assert runner.promoted == {JOB.name: TRAINER}
    runner.gate.set()
    await asyncio.gather(job, trainer, late_job)
    assert runner.runs.total() == 1


async def test_who_needs_the_delay_is_not_content_with_less(
    single_flight: SingleFlight, runner: FakeRunner, ledger: Ledger
) -> None:
    """Of two who look the same up, one gets what is on record, the other what replaces it."""
    old = make_metrics(5, delay_veh=None)
    await ledger.record("key", ROLLOUT, old, "sumo 1.28.0")
    runner.gate.set()
    content = asked(single_flight)
    await asyncio.sleep(0)
    needy = single_flight.fetch({"key": ROLLOUT}, in_s(60), JOB, needs_delay=True)
    outcomes = [found["key"] for found in await asyncio.gather(content, needy)]
    assert [outcome.metrics for outcome in outcomes] == [old, make_metrics(5)]
    assert [outcome.is_recorded for outcome in outcomes] == [True, False]
    assert await ledger.get_many(["key"]) == {"key": make_metrics(5)}
    assert runner.runs.total() == 1


async def test_record_that_differs_is_named(
    single_flight: SingleFlight, runner: FakeRunner, ledger: Ledger
) -> None:
    """What is rolled out again because of its delay takes its place, and the log says so."""
    await ledger.record("key", ROLLOUT, make_metrics(4, delay_veh=None), "sumo 1.28.0")
    runner.gate.set()
    with capture_logs() as logs:
        found = await single_flight.fetch({"key": ROLLOUT}, in_s(60), JOB, needs_delay=True)
    assert found["key"].metrics == make_metrics(5)
    assert [(one["event"], one["key"]) for one in logs] == [("outcome_differed", "key")]


async def test_outcome_says_where_it_came_from(
    single_flight: SingleFlight, runner: FakeRunner
) -> None:
    """Started for the first, joined by the second, and on record for the third."""
    first = asked(single_flight)
    await runner.has_begun(1)
    second = asked(single_flight, JOB)
    await asyncio.sleep(0)
    runner.gate.set()
    found = [(await task)["key"] for task in (first, second)]
    found.append((await asked(single_flight))["key"])
    came_from = [(o.is_started, o.is_joined, o.is_recorded) for o in found]
    assert came_from == [(True, False, False), (False, True, False), (False, False, True)]
    assert [outcome.ran_s for outcome in found] == [0.5, 0, 0]


async def test_purpose_travels(single_flight: SingleFlight, runner: FakeRunner) -> None:
    """Whose turn it is, and which request asked, is known to the runner."""
    runner.gate.set()
    await asked(single_flight, TRAINER)
    assert runner.flows == [(TRAINER, TRAINER.name)]
