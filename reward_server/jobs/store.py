"""Jobs in the database, as callers know them: stored, looked up, read, deleted.

Which gateway works on a job is up to :mod:`reward_server.jobs.leases`.
"""

import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from reward_server.jobs.records import VISIBLE, Job, database_clock, read_job
from reward_server.storage.database import Database
from reward_server.storage.tables import JOB_CHUNKS, JOBS
from shared.wire.jobs import JobSpec

__all__ = [
    "CHUNK_BYTES",
    "CHUNK_ITEMS",
    "RESULT_BYTES",
    "Chunk",
    "JobStore",
    "JobTotals",
    "NewJob",
    "is_chunk",
    "pack",
    "unpack",
]

CHUNK_ITEMS = 256
"""Maximum items per chunk. Results are recorded and reported a chunk at a time."""
CHUNK_BYTES = 500_000
"""A chunk ends with the item that brings it to this size, because it is read in one go."""

_FAST = 1


def pack(lines: Sequence[bytes]) -> bytes:
    """JSON lines, compressed.

    >>> unpack(pack([b"{}", b"[]"]))
    [b'{}', b'[]']
    """
    return zlib.compress(b"\n".join(lines), _FAST)


def unpack(packed: bytes) -> list[bytes]:
    """The lines again, without their line ends."""
    return zlib.decompress(packed).split(b"\n")


def is_chunk(job_id: str, number: int) -> ColumnElement[bool]:
    """The condition that selects one chunk of a job."""
    return (JOB_CHUNKS.c.job_id == job_id) & (JOB_CHUNKS.c.number == number)


_STORING_LEASE_S = 30.0
"""Seconds without progress after which storing a job counts as abandoned."""
_DELETED_TOGETHER = 100
RESULT_BYTES = 100
"""Approximate size of a packed result."""


@dataclass(frozen=True)
class NewJob:
    """A job whose items have been read and checked; fields are named after columns."""

    caller: str
    weight: float
    request_key: str | None
    digest: str
    spec: JobSpec
    items: int


@dataclass(frozen=True)
class Chunk:
    """Some items of a job; fields are named after columns."""

    number: int
    """From 0."""
    items_count: int
    items: bytes
    """Packed lines."""


@dataclass(frozen=True)
class JobTotals:
    """All jobs together, for the metrics page."""

    by_status: dict[str, int]
    items_left: int


class JobStore:
    """Jobs and their chunks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database_clock(database.dialect)

    async def begin(self, new: NewJob) -> tuple[Job, bool]:
        """Starts storing a job.

        Returns:
            The job, which is invisible until :meth:`enqueue`, and True; or the job that the caller
            sent under the same key before, and False.

        Raises:
            LedgerError: The database failed; so do all others here.
        """
        row = {
            **vars(new),
            "job_id": secrets.token_hex(16),
            "spec": new.spec.model_dump_json(),
            "status": "storing",
            "created_at": self._now,
            "lease_until": self._now + _STORING_LEASE_S,
        }
        is_same = (JOBS.c.caller == new.caller) & (JOBS.c.request_key == new.request_key)
        async with self._database.begin() as connection:
            new_row = self._database.insert_new(JOBS).values(**row).returning(JOBS)
            found = (await connection.execute(new_row)).one_or_none()
            if found is not None:
                return read_job(found), True
            return read_job((await connection.execute(select(JOBS).where(is_same))).one()), False

    async def add(self, job_id: str, chunks: Sequence[Chunk]) -> None:
        """Stores some of a job's chunks."""
        rows = [{"job_id": job_id, **vars(chunk)} for chunk in chunks]
        async with self._database.begin() as connection:
            await connection.execute(insert(JOB_CHUNKS), rows)
            await connection.execute(
                update(JOBS)
                .where(JOBS.c.job_id == job_id)
                .values(lease_until=self._now + _STORING_LEASE_S)
            )

    async def enqueue(self, job_id: str) -> Job:
        """Makes a completely stored job visible and available to workers."""
        queued = (
            update(JOBS)
            .where(JOBS.c.job_id == job_id)
            .values(status="queued", created_at=self._now, lease_until=None)
        )
        async with self._database.begin() as connection:
            return read_job((await connection.execute(queued.returning(JOBS))).one())

    async def find(self, job_id: str) -> Job | None:
        """The job with this id."""
        query = select(JOBS).where(JOBS.c.job_id == job_id, JOBS.c.status.in_(VISIBLE))
        rows = await self._database.rows(query)
        return read_job(rows[0]) if rows else None

    async def find_sent(self, caller: str, request_key: str) -> Job | None:
        """The job that a caller sent under a key, whether or not all of it is stored yet.

        A job abandoned while being stored, for example by a gateway that was killed, is deleted.
        """
        is_given_up = (JOBS.c.status == "storing") & (JOBS.c.lease_until < self._now)
        query = select(JOBS, is_given_up.label("is_given_up")).where(
            JOBS.c.caller == caller, JOBS.c.request_key == request_key
        )
        for row in await self._database.rows(query):
            if not row.is_given_up:
                return read_job(row)
            await self.delete(row.job_id)
        return None

    async def page(self, caller: str, limit: int, offset: int) -> tuple[list[Job], int]:
        """Some of a caller's jobs, newest first, and the number of all of them."""
        is_own = (JOBS.c.caller == caller) & JOBS.c.status.in_(VISIBLE)
        query = (
            select(JOBS)
            .where(is_own)
            .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
            .limit(limit)
            .offset(offset)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            total = await connection.scalar(select(func.count()).where(is_own))
            return [read_job(row) for row in rows], total or 0

    async def unfinished(self, caller: str) -> int:
        """The number of a caller's unfinished jobs."""
        is_open = (JOBS.c.caller == caller) & JOBS.c.status.in_(("storing", "queued", "running"))
        return await self._database.scalar(select(func.count()).where(is_open)) or 0

    async def stored_bytes(self, caller: str) -> int:
        """Bytes that a caller's jobs take: items, results, and an estimate of results to come."""
        size = func.length(JOB_CHUNKS.c["items"]) + func.coalesce(
            func.length(JOB_CHUNKS.c.results), JOB_CHUNKS.c.items_count * RESULT_BYTES
        )
        query = select(func.sum(size)).join(JOBS, JOBS.c.job_id == JOB_CHUNKS.c.job_id)
        return int(await self._database.scalar(query.where(JOBS.c.caller == caller)) or 0)

    async def all_bytes(self) -> int:
        """Bytes that all jobs take."""
        results = func.coalesce(func.length(JOB_CHUNKS.c.results), 0)
        query = select(func.sum(func.length(JOB_CHUNKS.c["items"]) + results))
        return int(await self._database.scalar(query) or 0)

    async def locate(self, job_id: str, offset: int) -> tuple[int, int]:
        """The chunk that an item is in, and the number of items before it in that chunk."""
        sizes = select(JOB_CHUNKS.c.number, JOB_CHUNKS.c.items_count)
        query = sizes.where(JOB_CHUNKS.c.job_id == job_id).order_by(JOB_CHUNKS.c.number)
        for row in await self._database.rows(query):
            if offset < row.items_count:
                return row.number, offset
            offset -= row.items_count
        return 0, 0

    async def results(self, job_id: str, number: int) -> list[bytes] | None:
        """The lines of one chunk's results; None if there are none (yet)."""
        query = select(JOB_CHUNKS.c.results).where(is_chunk(job_id, number))
        packed = await self._database.scalar(query)
        return None if packed is None else unpack(packed)

    async def delete(self, job_id: str) -> None:
        """Deletes a job with everything that belongs to it; whoever works on it finds it gone."""
        gone = {"status": "deleting", "request_key": None, "owner": None, "lease_until": 0.0}
        async with self._database.begin() as connection:
            await connection.execute(update(JOBS).where(JOBS.c.job_id == job_id).values(**gone))
            last = await connection.scalar(
                select(func.max(JOB_CHUNKS.c.number)).where(JOB_CHUNKS.c.job_id == job_id)
            )
        # In steps: in SQLite nobody else can write meanwhile.
        for start in range(0, (-1 if last is None else last) + 1, _DELETED_TOGETHER):
            end = start + _DELETED_TOGETHER - 1
            some = (JOB_CHUNKS.c.job_id == job_id) & JOB_CHUNKS.c.number.between(start, end)
            await self._database.change(delete(JOB_CHUNKS).where(some))
        await self._database.change(delete(JOBS).where(JOBS.c.job_id == job_id))
        await self._database.give_back()

    async def sweep(self, retention_s: float) -> int:
        """Deletes what is no longer needed.

        Args:
            retention_s: Seconds for which finished jobs are kept.

        Returns:
            Number of deleted jobs: expired ones, and those not completely stored or deleted.
        """
        is_old = JOBS.c.finished_at < self._now - retention_s
        is_left = JOBS.c.status.in_(("storing", "deleting")) & (JOBS.c.lease_until < self._now)
        found = await self._database.rows(select(JOBS.c.job_id).where(is_old | is_left))
        for row in found:
            await self.delete(row.job_id)
        return len(found)

    async def totals(self) -> JobTotals:
        """The totals over all jobs."""
        done = JOBS.c.scored + JOBS.c.invalid + JOBS.c.failed
        left = func.sum(JOBS.c["items"] - done).label("left")
        query = (
            select(JOBS.c.status, func.count().label("jobs"), left)
            .where(JOBS.c.status.in_(VISIBLE))
            .group_by(JOBS.c.status)
        )
        rows = await self._database.rows(query)
        open_items = sum(int(row.left) for row in rows if row.status in ("queued", "running"))
        return JobTotals({row.status: row.jobs for row in rows}, open_items)
