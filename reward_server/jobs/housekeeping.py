"""Periodic work for all jobs: counting them, and deleting old ones."""

import asyncio
from collections.abc import Iterable

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.jobs.records import VISIBLE
from reward_server.jobs.store import JobStore, JobTotals
from shared.errors import LedgerError

__all__ = ["Housekeeping"]

_COUNT_S = 5.0
_SWEEP_EVERY = 12
"""Counts between two sweeps."""
_DAY_S = 86400.0
_LOG = structlog.get_logger("reward_server")


class Housekeeping(Collector):
    """Counts jobs for Prometheus, and deletes those that are no longer needed.

    Args:
        store: The jobs of all gateways.
        retention_days: Days for which finished jobs are kept.
    """

    def __init__(self, store: JobStore, retention_days: float) -> None:
        self._store = store
        self._retention_s = retention_days * _DAY_S
        self._totals = JobTotals({}, 0)
        self._stored_bytes = 0

    async def run(self) -> None:
        """Repeats :meth:`look` until cancelled."""
        turn = 0
        while True:
            try:
                await self.look(is_sweeping=turn % _SWEEP_EVERY == 0)
                turn += 1
            except LedgerError as exc:
                _LOG.warning("jobs_not_counted", code=exc.code, reason=exc.message)
            await asyncio.sleep(_COUNT_S)

    async def look(self, is_sweeping: bool) -> None:
        """Counts and deletes once.

        Raises:
            LedgerError: The database failed.
        """
        if is_sweeping:
            deleted = await self._store.sweep(self._retention_s)
            if deleted:
                _LOG.info("jobs_deleted", jobs=deleted)
            self._stored_bytes = await self._store.all_bytes()
        self._totals = await self._store.totals()

    def collect(self) -> Iterable[Metric]:
        """The counts, as of a few seconds ago."""
        jobs = GaugeMetricFamily("greenfork_jobs", "Bulk jobs, by status.", labels=["status"])
        for status in VISIBLE:
            jobs.add_metric([status], self._totals.by_status.get(status, 0))
        yield jobs
        yield GaugeMetricFamily(
            "greenfork_job_bytes", "Bytes of bulk jobs and their results.", self._stored_bytes
        )
        yield GaugeMetricFamily(
            "greenfork_job_items_left",
            "Items of unfinished bulk jobs without a result.",
            self._totals.items_left,
        )
