"""Equal work once, for as long as somebody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reward_server.flights import Flights
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import sqlite_url
from sim_workers.flows import Flow, Purpose
from sim_workers.rollouts import RolloutTask
from tests.unit.reward_server.world import GREEN, FakeRunner, let_time_pass

TASK = RolloutTask.of(GREEN, "C", None, 30)
TRAINER = Purpose(Flow("trainer", 1.0), "request-1")
JOB = Purpose(Flow("trainer/jobs", 0.1), "job-1")


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
async def flights(runner: FakeRunner, ledger: Ledger) -> AsyncIterator[Flights]:
    """Flights on both."""
    flights = Flights(runner, ledger, "sumo 1.28.0")
    yield flights
    await flights.close()


def in_s(seconds: float) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


def asked(flights: Flights, purpose: Purpose = TRAINER) -> "asyncio.Task[object]":
    """Somebody who waits."""
    return asyncio.create_task(flights.fetch({"key": TASK}, in_s(60), purpose))


async def test_work_ends_when_the_last_one_leaves(flights: Flights, runner: FakeRunner) -> None:
    """Two wait for one rollout: it goes on when one leaves, and ends with the other."""
    first, second = asked(flights), asked(flights)
    await runner.has_begun(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert runner.ended == 0
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await asyncio.sleep(0)
    assert (runner.ended, runner.runs.total()) == (1, 1)


async def test_work_ends_at_the_deadline_of_the_last_one(
    flights: Flights, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline does not only answer; the rollout ends."""
    waiting = asyncio.create_task(flights.fetch({"key": TASK}, in_s(60), TRAINER))
    await runner.has_begun(1)
    let_time_pass(monkeypatch, 61)
    error = (await waiting).outcomes["key"].error
    assert error is not None
    await asyncio.sleep(0)
    assert (error.code, runner.ended) == ("deadline_exceeded", 1)


async def test_who_comes_after_the_end_begins_anew(flights: Flights, runner: FakeRunner) -> None:
    """An ended rollout is nobody's failure but its own."""
    first = asked(flights)
    await runner.has_begun(1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = asyncio.create_task(flights.fetch({"key": TASK}, in_s(60), TRAINER))
    await runner.has_begun(2)
    runner.gate.set()
    assert (await again).outcomes["key"].metrics is not None


async def test_what_nobody_waits_for_after_the_lookup_is_not_begun(
    flights: Flights, runner: FakeRunner
) -> None:
    """A caller that leaves at once costs no rollout."""
    gone = asked(flights)
    await asyncio.sleep(0)
    gone.cancel()
    runner.gate.set()
    await asyncio.gather(gone, return_exceptions=True)
    await flights.close()
    assert runner.runs.total() == 0


async def test_a_trainer_lends_its_turn_to_a_job(flights: Flights, runner: FakeRunner) -> None:
    """What a job has begun and a trainer wants too gets the trainer's turn; not the reverse."""
    job = asked(flights, JOB)
    await runner.has_begun(1)
    trainer = asked(flights, TRAINER)
    await asyncio.sleep(0.01)
    late_job = asked(flights, JOB)
    await asyncio.sleep(0.01)
    assert runner.promoted == {TASK: TRAINER.flow}
    runner.gate.set()
    await asyncio.gather(job, trainer, late_job)
    assert runner.runs.total() == 1


async def test_purpose_travels(flights: Flights, runner: FakeRunner) -> None:
    """Whose turn it is, and which request asked, is known to the runner."""
    runner.gate.set()
    await asked(flights, TRAINER)
    assert runner.purposes == [TRAINER]
