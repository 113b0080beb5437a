"""Episodes in the database: every step is recorded before it is answered."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from reward_server.episodes.records import StoredEpisode, named, read_episode
from reward_server.episodes.step_writes import (
    StepWrite,
    finish,
    insert_step,
    move,
    pack,
    row_of,
    unpack,
)
from reward_server.jobs.records import database_clock
from reward_server.storage.coalescer import Coalescer
from reward_server.storage.database import Database
from reward_server.storage.direct import Write
from reward_server.storage.tables import EPISODE_STEPS, EPISODES
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec

__all__ = [
    "EpisodeStore",
    "EpisodeTotals",
    "ForkedEpisode",
    "NewEpisode",
    "StoredStep",
    "fork_digest",
]

_STEPS_TOGETHER = 200
"""Maximum number of steps read or deleted in one transaction."""
_BLOBS = ("answer", "figures", "tripinfo")
_COLUMNS = [column for column in EPISODES.c if column.name not in _BLOBS]
_VISIBLE = ("running", "finished")


@dataclass(frozen=True)
class NewEpisode:
    """An episode that has begun."""

    episode_id: str
    caller: str
    request_key: str | None
    digest: str
    scenario_id: str
    state_id: str | None
    spec: EpisodeSpec
    signals: tuple[str, ...]
    at: Position
    time_s: float
    answer: bytes


@dataclass(frozen=True)
class ForkedEpisode:
    """An episode that begins at the current moment of another."""

    episode_id: str
    caller: str
    request_key: str | None
    answer: bytes
    """The answer to its creation."""


@dataclass(frozen=True)
class StoredStep:
    """The request and the answer of a step."""

    request: bytes
    answer: bytes


@dataclass(frozen=True)
class EpisodeTotals:
    """All episodes together, for the metrics page."""

    running: int = 0
    finished: int = 0


class EpisodeStore:
    """Episodes and their steps.

    Raises (everywhere):
        LedgerError: The database failed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database_clock(database.dialect)
        # Made once: building a statement takes longer than executing it.
        self._inserted = insert_step(database)
        self._moved, self._finished = move(self._now), finish(self._now)
        self._writes: Coalescer[StepWrite, frozenset[tuple[str, int]]] = Coalescer(self._append)

    async def close(self) -> None:
        """Returns when everything is written."""
        await self._writes.close()

    async def create(self, new: NewEpisode) -> tuple[StoredEpisode, bool]:
        """Records an episode that has begun.

        Returns:
            The episode and True; or the episode that the caller created earlier under the same key,
            and False.
        """
        row = {
            **vars(new),
            "spec": new.spec.model_dump_json(),
            "signals": json.dumps(new.signals),
            "status": "running",
            "position": new.at.digest,
            "created_at": self._now,
            "updated_at": self._now,
            "answer": pack(new.answer),
        }
        del row["at"]
        is_same = (EPISODES.c.caller == new.caller) & (EPISODES.c.request_key == new.request_key)
        async with self._database.begin() as connection:
            inserted = self._database.insert_new(EPISODES).values(**row).returning(*_COLUMNS)
            found = (await connection.execute(inserted)).one_or_none()
            if found is not None:
                return read_episode(found), True
            known = (await connection.execute(select(*_COLUMNS).where(is_same))).one()
            return read_episode(known), False

    async def find(self, episode_id: str) -> StoredEpisode | None:
        """The episode with that id, even if it was deleted."""
        query = select(*_COLUMNS).where(EPISODES.c.episode_id == episode_id)
        rows = await self._database.rows(query)
        return read_episode(rows[0]) if rows else None

    async def find_sent(self, caller: str, request_key: str) -> StoredEpisode | None:
        """The episode that a caller created under a key."""
        is_same = (EPISODES.c.caller == caller) & (EPISODES.c.request_key == request_key)
        rows = await self._database.rows(select(*_COLUMNS).where(is_same))
        return read_episode(rows[0]) if rows else None

    async def begin_answer(self, episode_id: str) -> bytes:
        """The answer to the creation of an episode."""
        query = select(EPISODES.c.answer).where(EPISODES.c.episode_id == episode_id)
        return named(unpack(await self._database.scalar(query)), episode_id)

    async def step(self, episode_id: str, number: int) -> StoredStep | None:
        """A step that was done."""
        query = select(EPISODE_STEPS.c.request, EPISODE_STEPS.c.answer)
        rows = await self._database.rows(query.where(_is_step(episode_id, number)))
        if not rows:
            return None
        answer = named(unpack(rows[0].answer), episode_id)
        return StoredStep(unpack(rows[0].request), answer)

    async def steps(self, episode_id: str, first: int, last: int) -> list[StoredStep]:
        """The steps from ``first`` to ``last``, both included, in order."""
        query = (
            select(EPISODE_STEPS.c.request, EPISODE_STEPS.c.answer)
            .where(_is_between(episode_id, first, last))
            .order_by(EPISODE_STEPS.c.number)
        )
        rows = await self._database.rows(query)
        return [
            StoredStep(unpack(row.request), named(unpack(row.answer), episode_id)) for row in rows
        ]

    async def last_answer(self, episode: StoredEpisode) -> bytes:
        """The latest answer."""
        if episode.at.steps:
            step = await self.step(episode.episode_id, episode.at.steps - 1)
            if step is not None:
                return step.answer
        return await self.begin_answer(episode.episode_id)

    async def requests(self, episode_id: str, steps: int) -> list[bytes]:
        """The requests of the first steps, in order."""
        query = (
            select(EPISODE_STEPS.c.request)
            .where(EPISODE_STEPS.c.episode_id == episode_id, EPISODE_STEPS.c.number < steps)
            .order_by(EPISODE_STEPS.c.number)
        )
        return [unpack(row.request) for row in await self._database.rows(query)]

    async def actions(self, episode_id: str, steps: int) -> AsyncIterator[bytes]:
        """The commands given to the signals, as JSON lines, some steps at a time."""
        for first in range(0, steps, _STEPS_TOGETHER):
            last = min(first + _STEPS_TOGETHER, steps) - 1
            query = (
                select(EPISODE_STEPS.c.actions)
                .where(_is_between(episode_id, first, last))
                .order_by(EPISODE_STEPS.c.number)
            )
            rows = await self._database.rows(query)
            yield b"".join(unpack(row.actions) for row in rows)

    async def append(self, write: StepWrite) -> bool:
        """Records a step; False if that step exists already or the episode was deleted."""
        done = await self._writes.submit([write])
        return (write.episode_id, write.number) in done

    async def fork(self, origin: StoredEpisode, fork: ForkedEpisode) -> bool:
        """Copies an episode as it is now; False if the caller has already used the key."""
        episode_id = fork.episode_id
        copied: dict[str, ColumnElement[Any]] = {
            "episode_id": literal(episode_id),
            "caller": literal(fork.caller),
            "request_key": literal(fork.request_key),
            "answer": literal(pack(fork.answer)),
            "digest": literal(fork_digest(origin)),
            "created_at": self._now,
            "updated_at": self._now,
            "steps": literal(origin.at.steps),
            "position": literal(origin.at.digest),
            "time_s": literal(origin.time_s),
            "status": literal("running"),
        }
        columns = [*_COLUMNS, EPISODES.c.answer]
        row = select(*(copied.get(c.name, c).label(c.name) for c in columns))
        row = row.where(EPISODES.c.episode_id == origin.episode_id)
        names = [column.name for column in EPISODE_STEPS.c]
        steps = select(
            literal(episode_id), *(EPISODE_STEPS.c[name] for name in names if name != "episode_id")
        ).where(_is_between(origin.episode_id, 0, origin.at.steps - 1))
        inserted = self._database.insert_new(EPISODES).from_select([c.name for c in columns], row)
        async with self._database.begin() as connection:
            copy = await connection.execute(inserted.returning(EPISODES.c.episode_id))
            if copy.one_or_none() is None:
                return False
            await connection.execute(insert(EPISODE_STEPS).from_select(names, steps))
        return True

    async def figures(self, episode_id: str) -> str | None:
        """The figures of a finished episode, as JSON."""
        query = select(EPISODES.c.figures).where(EPISODES.c.episode_id == episode_id)
        found: str | None = await self._database.scalar(query)
        return found

    async def tripinfo(self, episode_id: str) -> bytes | None:
        """SUMO's own trips of a finished episode."""
        query = select(EPISODES.c.tripinfo).where(EPISODES.c.episode_id == episode_id)
        packed = await self._database.scalar(query)
        return None if packed is None else unpack(packed)

    async def page(
        self, caller: str, status: str | None, limit: int, offset: int
    ) -> tuple[list[StoredEpisode], int]:
        """Some of a caller's episodes, newest first, and the total number of them."""
        statuses = _VISIBLE if status is None else (status,)
        is_own = (EPISODES.c.caller == caller) & EPISODES.c.status.in_(statuses)
        query = (
            select(*_COLUMNS)
            .where(is_own)
            .order_by(EPISODES.c.created_at.desc(), EPISODES.c.episode_id)
            .limit(limit)
            .offset(offset)
        )
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            total = await connection.scalar(select(func.count()).where(is_own))
            return [read_episode(row) for row in rows], total or 0

    async def running(self, caller: str) -> int:
        """Number of a caller's unfinished episodes."""
        is_own = (EPISODES.c.caller == caller) & (EPISODES.c.status == "running")
        return await self._database.scalar(select(func.count()).where(is_own)) or 0

    async def delete(self, episode_id: str) -> None:
        """Deletes an episode; its former existence is remembered for a while."""
        gone = dict.fromkeys(("request_key", *_BLOBS))
        deleted = update(EPISODES).where(EPISODES.c.episode_id == episode_id)
        await self._database.change(
            deleted.values(status="deleted", finished_at=self._now, steps=0, **gone)
        )
        await self._delete_steps(episode_id)

    async def sweep(self, retention_s: float) -> int:
        """Removes episodes that were finished or deleted long ago; returns how many.

        Args:
            retention_s: Seconds for which these are kept.
        """
        is_old = EPISODES.c.finished_at < self._now - retention_s
        found = await self._database.rows(select(EPISODES.c.episode_id).where(is_old))
        for row in found:
            await self._delete_steps(row.episode_id)
            gone = delete(EPISODES).where(EPISODES.c.episode_id == row.episode_id)
            await self._database.change(gone)
        if found:
            await self._database.give_back()
        return len(found)

    async def totals(self) -> EpisodeTotals:
        """The totals over all episodes."""
        query = select(EPISODES.c.status, func.count().label("episodes"))
        rows = await self._database.rows(query.group_by(EPISODES.c.status))
        by_status = {row.status: row.episodes for row in rows}
        return EpisodeTotals(by_status.get("running", 0), by_status.get("finished", 0))

    async def _delete_steps(self, episode_id: str) -> None:
        # In small portions, because in SQLite nobody else can write meanwhile.
        query = select(func.max(EPISODE_STEPS.c.number))
        last = await self._database.scalar(query.where(EPISODE_STEPS.c.episode_id == episode_id))
        for first in range(0, (-1 if last is None else last) + 1, _STEPS_TOGETHER):
            some = _is_between(episode_id, first, first + _STEPS_TOGETHER - 1)
            await self._database.change(delete(EPISODE_STEPS).where(some))

    async def _append(self, writes: Sequence[StepWrite]) -> frozenset[tuple[str, int]]:
        """Records steps of any episodes in one transaction; returns those that were due."""
        due = sorted(writes, key=lambda write: write.episode_id)
        rows = [row_of(write) for write in due]
        work: list[Write] = []
        for write, row in zip(due, rows, strict=True):
            moved = self._moved if write.figures is None else self._finished
            work += [(self._inserted, row), (moved, row)]
        changed = await self._database.retried(partial(self._database.write_all, work))
        return frozenset(
            (write.episode_id, write.number)
            for write, count in zip(due, changed[1::2], strict=True)
            if count == 1
        )


def fork_digest(origin: StoredEpisode) -> str:
    """A digest that is equal for forks of the same episode at the same moment."""
    return origin.at.digest


def _is_step(episode_id: str, number: int) -> ColumnElement[bool]:
    return (EPISODE_STEPS.c.episode_id == episode_id) & (EPISODE_STEPS.c.number == number)


def _is_between(episode_id: str, first: int, last: int) -> ColumnElement[bool]:
    return (EPISODE_STEPS.c.episode_id == episode_id) & EPISODE_STEPS.c.number.between(first, last)
