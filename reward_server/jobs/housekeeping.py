"""Periodic work for all jobs: counting them, and deleting old ones."""

from collections.abc import Iterable

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.housekeeping import DAY_S, keep_house
from reward_server.jobs.records import VISIBLE
from reward_server.jobs.store import JobStore, JobTotals

__all__ = ["Housekeeping"]

_LOG = structlog.get_logger("reward_server")


class Housekeeping(Collector):
    """Counts jobs for Prometheus, and deletes those that are no longer needed.

    Args:
        store: The jobs of all gateways.
        retention_days: Days for which finished jobs are kept.
    """

    def __init__(self, store: JobStore, retention_days: float) -> None:
        self._store = store
        self._retention_s = retention_days * DAY_S
        self._totals = JobTotals({}, 0)
        self._stored_bytes = 0

    async def run(self) -> None:
        """Repeats :meth:`look` until cancelled."""
        await keep_house(self.look, "jobs_not_counted")

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
