"""The ledger: every outcome ever computed, by the key of the work that led to it.

An outcome is written once and never changed, unless it is withdrawn. Every operation may happen
twice without harm, so it is repeated if the connection is lost on the way.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, select

from reward_server.event_loop import TimeSlice
from reward_server.storage.coalescer import BATCH_ITEMS, Coalescer
from reward_server.storage.database import Database
from reward_server.storage.tables import OUTCOMES
from shared.errors import LedgerError
from shared.rewards import DomainMetrics, Metrics
from sim_workers.engine.messages import MadeBy, Rollout
from sim_workers.pool.rollout import decisions_text
from sim_workers.pool.tasks import Task

__all__ = ["Ledger", "Recorded", "is_at_odds", "lacks_delay"]

Recorded = Metrics | DomainMetrics
"""What is recorded of an outcome: the metrics of a rollout or of another domain."""
_NUMBERS = '{"numbers":'
"""The beginning of the text of another domain's metrics, with which no rollout's begins."""


class Ledger:
    """Outcomes in a database.

    Args:
        database: Opened and closed by the caller; to be closed after the ledger.
        clock: Seconds since the epoch, recorded with each outcome.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._lookups = Coalescer(self._find)
        self._recordings = Coalescer(self._insert)

    async def close(self) -> None:
        """Returns when no lookup or write is under way."""
        await self._recordings.close()
        await self._lookups.close()

    async def get_many(self, keys: Sequence[str]) -> dict[str, Recorded]:
        """The recorded outcomes among ``keys``.

        Raises:
            LedgerError: The database cannot be read, or one of the outcomes is damaged.
        """
        known: dict[str, Recorded] = {}
        time_slice = TimeSlice()
        for start in range(0, len(keys), BATCH_ITEMS):
            part = keys[start : start + BATCH_ITEMS]
            found = await self._lookups.submit(part)
            for key in part:
                if key in found:
                    known[key] = self._metrics(found[key])
                    await time_slice.taken()
        return known

    async def record(
        self,
        key: str,
        rollout: Rollout | Task,
        metrics: Recorded,
        simulator: str,
        made_by: MadeBy = "fork",
    ) -> None:
        """Returns when an outcome is recorded. A known outcome stays as it is.

        Args:
            key: The key under which it will be found.
            rollout: The work that was done, for people who read the ledger.
            metrics: The metrics, with the series.
            simulator: Name and version, such as ``sumo 1.28.0``.
            made_by: How a process at its moment was obtained.

        Raises:
            LedgerError: The database cannot be written.
        """
        row = {
            "key": key,
            "state_id": rollout.state_id,
            **_described(rollout),
            "horizon_s": rollout.horizon_s,
            "simulator": simulator,
            "metrics": _text(metrics),
            "created_at": self._clock(),
            "made_by": made_by,
        }
        await self._recordings.submit([row])

    async def withdraw(self, keys: Sequence[str]) -> None:
        """Forgets outcomes, as if they had never been computed.

        Raises:
            LedgerError: The database cannot be written.
        """
        for start in range(0, len(keys), BATCH_ITEMS):
            part = keys[start : start + BATCH_ITEMS]
            forget = delete(OUTCOMES).where(OUTCOMES.c.key.in_(part))
            await self._database.retried(partial(self._database.change, forget))

    async def _find(self, keys: Sequence[str]) -> dict[str, str]:
        """Recorded metrics by key, as text."""
        wanted = list(dict.fromkeys(keys))
        query = select(OUTCOMES.c.key, OUTCOMES.c.metrics).where(OUTCOMES.c.key.in_(wanted))
        rows = await self._database.retried(partial(self._database.rows, query))
        return {row.key: row.metrics for row in rows}

    async def _insert(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes rows in one transaction: all of them, or none."""
        # Two gateways recording the same outcomes in different orders would deadlock.
        ordered = sorted(rows, key=itemgetter("key"))
        insert = partial(self._database.change, self._database.insert_new(OUTCOMES), ordered)
        await self._database.retried(insert)

    def _metrics(self, text: str) -> Recorded:
        try:
            if text.startswith(_NUMBERS):
                return DomainMetrics.model_validate_json(text[len(_NUMBERS) : -1])
            return Metrics.model_validate_json(text)
        except ValidationError as exc:
            raise LedgerError(
                f"the database {self._database.name} contains a damaged outcome: {exc}"
            ) from exc


def lacks_delay(recorded: Recorded) -> bool:
    """Whether a rollout was recorded before ``delay_veh`` existed."""
    return isinstance(recorded, Metrics) and recorded.delay_veh is None


def _described(work: Rollout | Task) -> dict[str, str | None]:
    """The signals or the domain, and the decision, for the columns of the ledger."""
    if isinstance(work, Task):
        return {"tls_id": work.domain, "decision": work.shown}
    return {"tls_id": ",".join(work.observe), "decision": decisions_text(work)}


def _text(metrics: Recorded) -> str:
    text = metrics.model_dump_json()
    return f"{_NUMBERS}{text}}}" if isinstance(metrics, DomainMetrics) else text


def is_at_odds(recorded: Recorded, metrics: Recorded) -> bool:
    """Whether a recorded outcome differs from what the same rollout gives now.

    Older outcomes were recorded without ``delay_veh``, which is then not compared.
    """
    if isinstance(metrics, Metrics) and lacks_delay(recorded):
        metrics = metrics.model_copy(update={"delay_veh": None})
    return recorded != metrics
