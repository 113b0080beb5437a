"""Leases on jobs: a gateway owns a job for as long as it renews its lease in time.

Times are the database's, so that a gateway whose clock jumps neither loses nor takes a job. A
gateway that has lost a job without noticing does no harm: it computes the same results as the new
owner, and only the owner's results are stored, once.
"""

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Update, func, select, update

from reward_server.event_loop import TimeSlice
from reward_server.jobs.records import Job, database_clock, read_job
from reward_server.jobs.store import is_chunk, pack, unpack
from reward_server.storage.database import Database
from reward_server.storage.tables import JOB_CHUNKS, JOBS
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import Counts, Item, read_item

__all__ = ["JobLeases"]

_OPEN = ("queued", "running")


class JobLeases:
    """The jobs that one gateway owns.

    Args:
        database: Where jobs are stored.
        owner: Name of the gateway; no other gateway may ever have the same.
        lease_s: Seconds after which any gateway may take a job whose lease was not renewed.
    """

    def __init__(self, database: Database, owner: str, lease_s: float) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s
        self._now = database_clock(database.dialect)

    @property
    def _lease_end(self) -> ColumnElement[float]:
        return self._now + self._lease_s

    async def inherit(self) -> None:
        """Frees a former gateway's jobs, on the assumption that no other gateway is running.

        If there is one, it will notice that it has lost its jobs, and take others.

        Raises:
            LedgerError: The database failed; so do all others here.
        """
        if self._database.dialect == "sqlite":
            freed = update(JOBS).where(JOBS.c.status.in_(_OPEN))
            await self._database.change(freed.values(owner=None, lease_until=None))

    async def claim(self, busy_callers: Collection[str]) -> None:
        """Takes the oldest free job of every caller, except callers it already has a job of.

        Args:
            busy_callers: The callers that it already has a job of.
        """
        is_free = JOBS.c.status.in_(_OPEN) & (
            JOBS.c.owner.is_(None) | (JOBS.c.lease_until < self._now)
        )
        free = (
            select(JOBS.c.job_id, JOBS.c.caller)
            .where(is_free, JOBS.c.caller.not_in(busy_callers))
            .order_by(JOBS.c.created_at, JOBS.c.job_id)
        )
        claim = update(JOBS).values(
            status="running",
            owner=self._owner,
            lease_until=self._lease_end,
            started_at=func.coalesce(JOBS.c.started_at, self._now),
        )
        claimed: set[str] = set()
        candidates = await self._database.rows(free)
        if not candidates:
            return
        async with self._database.begin() as connection:
            for row in candidates:
                if row.caller in claimed:
                    continue
                # Asked again: another gateway may have been faster.
                done = await connection.execute(claim.where(JOBS.c.job_id == row.job_id, is_free))
                if done.rowcount == 1:
                    claimed.add(row.caller)

    async def renew(self) -> list[Job]:
        """Renews the gateway's leases; returns the jobs that it owns."""
        renewed = update(JOBS).where(self._is_own).values(lease_until=self._lease_end)
        async with self._database.begin() as connection:
            found = await connection.execute(renewed.returning(JOBS))
            return [read_job(row) for row in found]

    async def release(self) -> None:
        """Gives the jobs up, so that others can take them at once."""
        freed = update(JOBS).where(self._is_own).values(owner=None, lease_until=None)
        await self._database.change(freed)

    async def unfinished_chunks(self, job_id: str) -> list[int]:
        """The numbers of the chunks without results, in order."""
        query = (
            select(JOB_CHUNKS.c.number)
            .where(JOB_CHUNKS.c.job_id == job_id, JOB_CHUNKS.c.results.is_(None))
            .order_by(JOB_CHUNKS.c.number)
        )
        return [row.number for row in await self._database.rows(query)]

    async def items(self, job_id: str, number: int) -> tuple[Item, ...]:
        """The items of a chunk; none where the chunk is gone."""
        query = select(JOB_CHUNKS.c["items"]).where(is_chunk(job_id, number))
        packed = await self._database.scalar(query)
        items, time_slice = [], TimeSlice()
        for line in unpack(packed) if packed else ():
            items.append(read_item(line))
            await time_slice.taken()
        return tuple(items)

    async def finish_chunk(
        self, job_id: str, number: int, results: list[bytes], counts: Counts
    ) -> Job | None:
        """Records a chunk's results and the job's progress, both or neither.

        Repeating it is harmless.

        Returns:
            The updated job, which its last chunk finishes; None if another gateway owns it.
        """
        packed = await asyncio.to_thread(pack, results)
        write = partial(self._finish_chunk, job_id, number, packed, counts)
        return await self._database.retried(write)

    async def fail(self, job_id: str, error: ErrorInfo) -> Job | None:
        """Ends a job that cannot go on; None if another gateway owns it."""
        ended = self._ended("failed").values(error=error.model_dump_json())
        async with self._database.begin() as connection:
            found = await connection.execute(
                ended.where(JOBS.c.job_id == job_id, self._is_own).returning(JOBS)
            )
            row = found.one_or_none()
        return None if row is None else read_job(row)

    @property
    def _is_own(self) -> ColumnElement[bool]:
        return (JOBS.c.owner == self._owner) & (JOBS.c.status == "running")

    async def _finish_chunk(
        self, job_id: str, number: int, packed: bytes, counts: Counts
    ) -> Job | None:
        is_job = JOBS.c.job_id == job_id
        is_open = is_chunk(job_id, number) & JOB_CHUNKS.c.results.is_(None)
        added: dict[str, Any] = {
            name: JOBS.c[name] + count for name, count in counts.model_dump().items()
        }
        done = JOBS.c.scored + JOBS.c.invalid + JOBS.c.failed
        async with self._database.begin() as connection:
            owned = select(JOBS).where(is_job, self._is_own).with_for_update()
            if (await connection.execute(owned)).one_or_none() is None:
                row = (await connection.execute(select(JOBS).where(is_job))).one_or_none()
                is_done = row is not None and row.status == "done"
                return read_job(row) if row is not None and is_done else None
            recorded = await connection.execute(
                update(JOB_CHUNKS).where(is_open).values(results=packed)
            )
            if recorded.rowcount == 1:
                await connection.execute(update(JOBS).where(is_job).values(**added))
                await connection.execute(self._ended("done").where(is_job, done == JOBS.c["items"]))
            return read_job((await connection.execute(select(JOBS).where(is_job))).one())

    def _ended(self, status: str) -> Update:
        return update(JOBS).values(
            status=status, finished_at=self._now, owner=None, lease_until=None
        )
