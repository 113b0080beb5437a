"""The ledger: every outcome ever computed, by the key of the work that led to it.

An outcome is written once and never changed. Looking up and recording may both happen twice
without harm, so both are done again where the connection was lost on the way.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from reward_server.event_loop import TimeSlice
from reward_server.storage.database import Database
from reward_server.storage.lookups import Lookups
from reward_server.storage.tables import OUTCOMES
from shared.errors import LedgerError
from shared.rewards import Metrics
from sim_workers.pool.rollouts import RolloutTask

__all__ = ["Ledger", "LedgerEntry"]


@dataclass(frozen=True)
class LedgerEntry:
    """An outcome to be recorded."""

    key: str
    task: RolloutTask
    metrics: Metrics
    """With the series."""
    simulator: str
    """``sumo 1.28.0``."""


class Ledger:
    """Outcomes in a database.

    Args:
        database: Opened and closed elsewhere; closed after this.
        clock: Seconds since the epoch, noted in each outcome.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._lookups = Lookups(self._find)

    async def close(self) -> None:
        """Returns when no look-up is under way."""
        await self._lookups.close()

    async def get_many(self, keys: Sequence[str]) -> dict[str, Metrics]:
        """The recorded outcomes among ``keys``.

        Raises:
            LedgerError: The database cannot be read, or one of the outcomes is damaged.
        """
        known: dict[str, Metrics] = {}
        time_slice = TimeSlice()
        for key, text in (await self._lookups.find(keys)).items():
            known[key] = self._metrics(text)
            await time_slice.taken()
        return known

    async def put_many(self, entries: Sequence[LedgerEntry]) -> None:
        """Records outcomes, in one transaction. What is known already stays as it is.

        Raises:
            LedgerError: The database cannot be written. Nothing is recorded, or all is.
        """
        if not entries:
            return
        # Two gateways that record the same outcomes in different orders would wait for each other.
        rows = sorted((self._row(entry) for entry in entries), key=itemgetter("key"))

        async def insert() -> None:
            async with self._database.begin() as connection:
                await connection.execute(self._database.insert_new(OUTCOMES), rows)

        await self._database.retried(insert)

    async def _find(self, keys: Sequence[str]) -> dict[str, str]:
        """Recorded metrics by key, as text."""
        query = select(OUTCOMES.c.key, OUTCOMES.c.metrics).where(OUTCOMES.c.key.in_(keys))

        async def look() -> dict[str, str]:
            async with self._database.read() as connection:
                return {row.key: row.metrics for row in await connection.execute(query)}

        return await self._database.retried(look)

    def _metrics(self, text: str) -> Metrics:
        try:
            return Metrics.model_validate_json(text)
        except ValidationError as exc:
            raise LedgerError(
                f"the database {self._database.name} contains a damaged outcome: {exc}"
            ) from exc

    def _row(self, entry: LedgerEntry) -> dict[str, Any]:
        task = entry.task
        return {
            "key": entry.key,
            "state_id": task.state_id,
            "tls_id": ",".join(task.observe),
            "decision": task.decisions_text(),
            "horizon_s": task.horizon_s,
            "simulator": entry.simulator,
            "metrics": entry.metrics.model_dump_json(),
            "created_at": self._clock(),
        }
