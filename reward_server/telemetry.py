"""What the gateway counts, for Prometheus. Each app has a registry of its own."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.admission import Admission
from reward_server.flights import Fetched
from reward_server.runner import RolloutRunner
from shared.errors import ErrorInfo
from shared.scoring import Status

__all__ = ["Telemetry"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class _Answered(Protocol):
    @property
    def status(self) -> Status: ...

    @property
    def error(self) -> ErrorInfo | None: ...


class Telemetry:
    """Counters and gauges of one gateway."""

    def __init__(self, runner: RolloutRunner, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_RunnerCollector(runner))
        self._items = Counter(
            "greenfork_items",
            "Items answered, by status and error code.",
            ("status", "code"),
            registry=self.registry,
        )
        self._rollouts = Counter("greenfork_rollouts", "Rollouts started.", registry=self.registry)
        self._hits = Counter(
            "greenfork_ledger_hits", "Outcomes found in the ledger.", registry=self.registry
        )
        self._joins = Counter(
            "greenfork_single_flight_joins",
            "Outcomes that another request was already waiting for.",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "greenfork_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ("route", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        pending = Gauge(
            "greenfork_pending_items", "Items of all requests under way.", registry=self.registry
        )
        pending.set_function(lambda: admission.pending_items)

    def count_items(self, results: Iterable[_Answered], fetched: Fetched) -> None:
        """Counts what became of a request's items, and what that took."""
        for result in results:
            code = result.error.code if result.error else ""
            self._items.labels(result.status, code).inc()
        self._rollouts.inc(fetched.rollouts)
        self._hits.inc(fetched.ledger_hits)
        self._joins.inc(fetched.joins)

    def count_request(self, route: str, status: int, duration_s: float) -> None:
        """Counts any request.

        Args:
            route: The route's template, not the path, so that there are few.
            status: HTTP status of the answer.
            duration_s: Seconds it took.
        """
        self._seconds.labels(route, str(status)).observe(duration_s)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)


class _RunnerCollector(Collector):
    """Asks the runner when the page is read."""

    def __init__(self, runner: RolloutRunner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        """The runner's numbers as they are now."""
        stats = self._runner.stats()
        yield GaugeMetricFamily("greenfork_pool_workers", "Workers alive.", stats.workers)
        yield GaugeMetricFamily("greenfork_pool_busy", "Rollouts under way.", stats.busy)
        yield GaugeMetricFamily("greenfork_pool_queued", "Rollouts waiting.", stats.queued)
        yield CounterMetricFamily(
            "greenfork_holder_starts", "Processes that restored a state.", stats.holder_starts
        )
        yield CounterMetricFamily("greenfork_workers_lost", "Workers died.", stats.workers_lost)
        yield CounterMetricFamily(
            "greenfork_rollouts_retried", "Rollouts given to another worker.", stats.retried
        )
