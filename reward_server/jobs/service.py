"""Bulk jobs as the routes see them: submitted, viewed, followed and deleted by their callers."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterable
from contextlib import ExitStack, suppress
from itertools import islice

from reward_server.auth.callers import Caller
from reward_server.http.reading.reader import BodyReader
from reward_server.jobs.chunker import Cut
from reward_server.jobs.events import JobFollower
from reward_server.jobs.housekeeping import Housekeeping
from reward_server.jobs.leases import JobLeases
from reward_server.jobs.parser import BodyForm, Intake
from reward_server.jobs.records import Job
from reward_server.jobs.runner import JobNotifier, JobRunner
from reward_server.jobs.store import RESULT_BYTES, JobStore, NewJob
from reward_server.observability.metrics import Telemetry
from reward_server.scoring.scorer import Scorer
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from reward_server.storage.disk import Disk
from shared.errors import (
    GreenforkError,
    IdempotencyConflict,
    Overloaded,
    StorageFull,
    UnknownJob,
)
from shared.wire.jobs import JobPage, JobSpec, JobView

__all__ = ["BulkJobs"]

_JOB_ID = re.compile("[0-9a-f]{32}")
_LEASE_S = 30.0
_STORED_TOGETHER = 16
"""Number of pieces stored in one transaction."""
_TOO_MANY_RETRY_AFTER_S = 60
_STORING_RETRY_AFTER_S = 2


class BulkJobs:
    """The jobs of one gateway, or of several on one database.

    Args:
        settings: How much there may be, and where bodies are kept.
        database: Where jobs are.
        scorer: What they are scored by.
        telemetry: Has the jobs counted.
        reader: Reads bodies that are one JSON document.
        disk: The disk that the database is on.
    """

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        scorer: Scorer,
        telemetry: Telemetry,
        reader: BodyReader,
        disk: Disk,
    ) -> None:
        self._settings = settings
        self._store = JobStore(database)
        self._notifier = JobNotifier()
        leases = JobLeases(database, uuid.uuid4().hex, _LEASE_S)
        self._runner = JobRunner(leases, scorer.score, self._notifier, telemetry.count_scored)
        self.follower = JobFollower(self._store, self._runner, self._notifier)
        self._intake = Intake(settings, scorer.check, reader)
        self._housekeeping = Housekeeping(self._store, settings.job_retention_days)
        telemetry.registry.register(self._housekeeping)
        self._disk = disk
        self._chores: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Resumes what was left unfinished.

        Raises:
            LedgerError: The database failed; so do all others here.
        """
        await self._runner.start()
        self._chores = asyncio.create_task(self._housekeeping.run())

    async def close(self) -> None:
        """Stops the work, and keeps what is done."""
        self.hang_up()
        if self._chores is not None:
            self._chores.cancel()
            with suppress(asyncio.CancelledError):
                await self._chores
        await self._runner.close()

    async def tidy(self) -> None:
        """Counts the jobs, and deletes what is no longer needed; also runs periodically."""
        await self._housekeeping.look(is_sweeping=True)

    def hang_up(self) -> None:
        """Dismisses everyone who is following a job, so that the gateway can stop."""
        self._notifier.close()

    @property
    def is_hung_up(self) -> bool:
        """Whether the gateway is about to end, so that no answer may go on for long."""
        return self._notifier.is_closed

    async def submit(
        self,
        caller: Caller,
        body: AsyncIterable[bytes],
        form: BodyForm,
        spec: JobSpec,
        request_key: str | None,
    ) -> tuple[JobView, bool]:
        """Stores a job, all of it or nothing.

        Args:
            caller: Who sent it.
            body: The items.
            form: Their format.
            spec: What is asked for each item; a body that is a JSON document contains it.
            request_key: The same key from the same caller means the same job.

        Returns:
            The job, and whether it is new.

        Raises:
            BodyTooLarge: A single JSON document of this size is not read.
            MalformedRequest: The body is not JSON.
            InvalidRequest: An item is invalid, or there are too many items or none.
            UnknownState: An item names a state that is not served.
            UnknownSignal: An item names a signal that its state does not have.
            IdempotencyConflict: The key was used for something else.
            Overloaded: The caller has too many unfinished jobs.
            StorageFull: The caller's jobs use up their allowance, or the disk is full.
            LedgerError: There is no room for the body.
        """
        with ExitStack() as files:
            cut = await self._intake.read(caller.name, body, form, spec, files)
            if request_key is not None:
                known = await self._store.find_sent(caller.name, request_key)
                if known is not None:
                    return _same(known, cut).view(), False
            await self._refuse_if_too_many(caller)
            await self._refuse_if_too_large(caller, cut)
            new = NewJob(caller.name, caller.weight, request_key, cut.digest, cut.spec, cut.items)
            job, is_new = await self._store.begin(new)
            if not is_new:  # another request was faster
                return _same(job, cut).view(), False
            job = await self._keep(job, cut)
        self._runner.nudge()
        return job.view(), True

    async def view(self, caller: Caller, job_id: str) -> JobView:
        """The current view of a job.

        Raises:
            UnknownJob: The caller has no job with this id.
        """
        return self._view(await self.find(caller, job_id))

    async def page(self, caller: Caller, limit: int, offset: int) -> JobPage:
        """Some of the caller's jobs, newest first."""
        jobs, total = await self._store.page(caller.name, limit, offset)
        views = tuple(self._view(job) for job in jobs)
        return JobPage(jobs=views, total=total, limit=limit, offset=offset)

    async def find(self, caller: Caller, job_id: str) -> Job:
        """A job, for those who may see it: its caller, and callers with the scope ``admin``.

        Raises:
            UnknownJob: The caller may see no job with this id.
        """
        job = await self._store.find(job_id) if _JOB_ID.fullmatch(job_id) else None
        if job is None or (job.caller != caller.name and "admin" not in caller.scopes):
            raise UnknownJob(f"there is no job {job_id!r}")
        return job

    async def delete(self, caller: Caller, job_id: str) -> None:
        """Ends a job, including its rollouts, and deletes it with its results.

        Raises:
            UnknownJob: The caller has no job with this id.
        """
        job = await self.find(caller, job_id)
        self._runner.drop(job.job_id)
        await self._store.delete(job.job_id)
        self._notifier.tell(job.job_id)

    def _view(self, job: Job) -> JobView:
        return job.view(self._runner.items_per_s(job.job_id))

    async def _refuse_if_too_many(self, caller: Caller) -> None:
        unfinished = await self._store.unfinished(caller.name)
        if unfinished >= self._settings.max_jobs:
            raise Overloaded(
                f"you have {unfinished} unfinished jobs, which is the limit; retry when one is "
                "done",
                "too_many_jobs",
                _TOO_MANY_RETRY_AFTER_S,
            )

    async def _refuse_if_too_large(self, caller: Caller, cut: Cut) -> None:
        """Counts finished jobs as well: they stay until they are deleted or expire."""
        size_bytes = cut.size_bytes + cut.items * RESULT_BYTES
        self._disk.check(size_bytes)
        stored_bytes = await self._store.stored_bytes(caller.name)
        limit_mb = self._settings.max_job_storage_mb
        if stored_bytes + size_bytes > limit_mb << 20:
            raise StorageFull(
                f"your jobs take {stored_bytes >> 20} MiB, this one takes {size_bytes >> 20} "
                f"more, and the limit is {limit_mb}; delete finished jobs",
                "too_many_job_bytes",
            )

    async def _keep(self, job: Job, cut: Cut) -> Job:
        try:
            chunks = cut.chunks()
            while together := list(islice(chunks, _STORED_TOGETHER)):
                await self._store.add(job.job_id, together)
            return await self._store.enqueue(job.job_id)
        except BaseException:
            with suppress(GreenforkError):  # what is left is swept away later
                await asyncio.shield(self._store.delete(job.job_id))
            raise


def _same(known: Job, cut: Cut) -> Job:
    """The job that was sent before, if the new one is the same."""
    if known.digest != cut.digest:
        raise IdempotencyConflict(
            "the Idempotency-Key was already used for other items or another spec; use a new one"
        )
    if known.status == "storing":
        raise Overloaded(
            "the same job is being stored right now; retry later", None, _STORING_RETRY_AFTER_S
        )
    return known
