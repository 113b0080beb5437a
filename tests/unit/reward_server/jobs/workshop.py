"""Jobs in a small world: a real database, made-up rollouts, chunks of two items, no waiting."""

import asyncio
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import URL

from reward_server.auth.callers import Caller
from reward_server.jobs.chunker import Chunker
from reward_server.jobs.leases import JobLeases
from reward_server.jobs.records import Job
from reward_server.jobs.runner import JobNotifier, JobRunner
from reward_server.jobs.scheduler import JobRetries
from reward_server.jobs.store import JobStore, NewJob
from reward_server.services import Services
from reward_server.settings import load_settings
from reward_server.storage.database import Database
from shared.decisions import NextPhase
from shared.rewards import RewardSpec
from shared.wire.jobs import JobSpec
from shared.wire.scoring import ScoreItem
from tests.unit.reward_server.world import GREEN, OTHER_GREEN, FakeRunner, make_store

__all__ = ["ANN", "BOB", "Workshop", "make_items"]

ANN = Caller("ann", frozenset({"score"}))
BOB = Caller("bob", frozenset({"score"}))
SPEC = JobSpec(reward=RewardSpec(name="queue"))
_GREENS = 56
"""Lengths that a green may have."""


def make_items(count: int, first: int = 0) -> list[ScoreItem]:
    """Items that need a rollout each; there are 112 of them."""
    return [_item(i) for i in range(first, first + count)]


def _item(i: int) -> ScoreItem:
    state_id, phase = (GREEN, 2) if i < _GREENS else (OTHER_GREEN, 0)
    decision = NextPhase(next_phase=phase, green_s=5 + i % _GREENS)
    return ScoreItem(id=i, state_id=state_id, tls_id="C", decision=decision)


@dataclass
class Workshop:
    """One gateway's jobs; several on one database are one after the other, or side by side."""

    url: URL
    name: str = "gateway"
    lease_s: float = 30.0
    rollouts: FakeRunner = field(default_factory=FakeRunner)
    slept_s: list[float] = field(default_factory=list)
    has_slept: asyncio.Event = field(default_factory=asyncio.Event)
    sleep_until: asyncio.Event | None = None
    """Sleeps last until this is set; without it, no time."""

    async def open(self) -> "Workshop":
        """Opens the database; nothing is worked on yet."""
        self.database = Database(self.url)
        await self.database.start()
        self.services = Services.of(load_settings({}), make_store(), self.rollouts, self.database)
        self.store = JobStore(self.database)
        self.changes = JobNotifier()
        self.leases = JobLeases(self.database, self.name, self.lease_s)
        retries = JobRetries(rand=lambda: 1.0, sleep=self._sleep)
        score = self.services.scorer.score
        self.runner = JobRunner(self.leases, score, self.changes, retries=retries)
        return self

    async def close(self) -> None:
        """Ends in order."""
        await self.runner.close()
        await self.services.single_flight.close()
        await self.services.ledger.close()
        await self.database.close()

    async def crash(self) -> None:
        """Ends without a word to the database."""

        async def say_nothing() -> None:
            pass

        self.leases.release = say_nothing  # type: ignore[method-assign]
        await self.close()

    async def send(
        self, items: Iterable[ScoreItem], caller: Caller = ANN, spec: JobSpec = SPEC
    ) -> str:
        """Stores a job; gives its id."""
        with tempfile.TemporaryFile() as file:
            chunker = Chunker(file, lambda item: None, 10_000, chunk_items=2)
            cut = chunker.cut(spec, (("item", item) for item in items))
            new = NewJob(caller.name, caller.weight, None, cut.digest, spec, cut.items)
            job, _ = await self.store.begin(new)
            await self.store.add(job.job_id, list(cut.chunks()))
        await self.store.enqueue(job.job_id)
        self.runner.nudge()
        return job.job_id

    async def finished(self, job_id: str) -> Job:
        """The job once it is finished."""
        while True:
            ticket = self.changes.ticket(job_id)
            job = await self.store.find(job_id)
            assert job is not None
            if job.finished_at is not None:
                return job
            await ticket.wait()

    async def progressed(self, job_id: str, done: int) -> Job:
        """The job once so many items have results."""
        while True:
            ticket = self.changes.ticket(job_id)
            job = await self.store.find(job_id)
            assert job is not None
            if job.done >= done:
                return job
            await ticket.wait()

    async def lines(self, job_id: str) -> list[bytes]:
        """All results."""
        found: list[bytes] = []
        number = 0
        while (lines := await self.store.results(job_id, number)) is not None:
            found += lines
            number += 1
        return found

    async def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.has_slept.set()
        if self.sleep_until is not None:
            await self.sleep_until.wait()
        await asyncio.sleep(0)
