"""What the gateway counts, for Prometheus. Each app has a registry of its own."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counting
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.scoring.admission import Admission
from reward_server.scoring.outcomes import Explored
from reward_server.scoring.response_cache import ResponseCache
from reward_server.scoring.scorer import ScoredRequest
from reward_server.scoring.single_flight import RolloutRunner
from shared.wire.scoring import Status
from sim_workers.engine.messages import RolloutOutcome

__all__ = ["Telemetry"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Telemetry:
    """Counters and gauges of one gateway."""

    def __init__(self, runner: RolloutRunner, admission: Admission, hot: ResponseCache) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_RunnerCollector(runner))
        self._items = self._counter(
            "items", "Items answered, by status and error code.", "status", "code"
        )
        self._rollouts = self._counter("rollouts", "Rollouts started.")
        self._hot_hits = self._counter("hot_hits", "Items answered from the response cache.")
        self._hits = self._counter("ledger_hits", "Outcomes found in the ledger.")
        self._joins = self._counter(
            "single_flight_joins", "Outcomes that another request was already waiting for."
        )
        self._refusals = self._counter(
            "requests_refused", "Requests refused as a whole, by error code.", "code"
        )
        self._groups = self._counter("groups", "Groups of items that trainers sent.")
        self._flat_groups = self._counter(
            "zero_variance_groups", "Groups whose rewards were all equal: nothing to learn from."
        )
        self._seconds = self._histogram(
            "request_seconds",
            "Seconds from a request's head to the end of the response.",
            ("route", "status"),
        )
        self._made_by = self._counter(
            "rollouts_made", "Rollouts done, by how the process got to its moment.", "made_by"
        )
        self._not_restored = self._counter(
            "processes_not_restored", "Processes that were not put back, by reason.", "reason"
        )
        self._restore_checks = self._counter(
            "restore_checks", "Restored rollouts that were done by a fork as well.", "result"
        )
        self._withdrawn = self._counter(
            "outcomes_withdrawn", "Outcomes taken back because such a check failed."
        )
        self._rollout_seconds = self._histogram(
            "rollout_seconds", "Seconds that workers spent on a rollout.", ()
        )
        self._queue_seconds = self._histogram(
            "rollout_queue_seconds", "Seconds that rollouts waited for a worker.", ()
        )
        self._gauge("pending_items", "Items of all requests in progress.").set_function(
            lambda: admission.pending_items
        )
        self._gauge("hot_bytes", "Memory of the response cache, bytes.").set_function(
            lambda: hot.size_bytes
        )

    def count_scored(self, scored: ScoredRequest) -> None:
        """Counts what became of a request's items, their groups, and the time that it took."""
        self._count_results(Counter((answer.status, answer.code) for answer in scored.answers))
        self._hot_hits.inc(scored.hot_hits)
        self._count_fetched(scored.outcomes.values())
        for is_flat, groups in Counter(_flatness(scored)).items():
            self._groups.inc(groups)
            self._flat_groups.inc(groups if is_flat else 0)

    def count_explored(self, explored: Explored) -> None:
        """Counts what became of a state's decisions, and the time that it took."""
        ranked = explored.response.outcomes
        self._count_results(Counter((o.status, o.error.code if o.error else "") for o in ranked))
        self._count_fetched(explored.outcomes.values())

    def _count_fetched(self, found: Collection[RolloutOutcome]) -> None:
        self._rollouts.inc(sum(outcome.is_started for outcome in found))
        self._hits.inc(sum(outcome.is_recorded for outcome in found))
        self._joins.inc(sum(outcome.is_joined for outcome in found))

    def observe_rollout(self, outcome: RolloutOutcome) -> None:
        """Counts a rollout and its time, but not by scenario: anyone may read the page."""
        self._made_by.labels(outcome.made_by).inc()
        for reason in outcome.not_restored:
            self._not_restored.labels(_known_reason(reason)).inc()
        if outcome.check is not None:
            self._restore_checks.labels(outcome.check).inc()
        self._withdrawn.inc(len(outcome.doubtful))
        self._rollout_seconds.observe(outcome.ran_s)
        self._queue_seconds.observe(outcome.waited_s)

    def count_refusal(self, code: str) -> None:
        """Counts a request that was refused as a whole."""
        self._refusals.labels(code).inc()

    def _count_results(self, results: Counter[tuple[Status, str]]) -> None:
        for labels, items in results.items():
            self._items.labels(*labels).inc(items)

    def _counter(self, name: str, words: str, *labels: str) -> Counting:
        return Counting(f"greenfork_{name}", words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(
            f"greenfork_{name}", words, labels, buckets=_SECONDS, registry=self.registry
        )

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"greenfork_{name}", words, registry=self.registry)

    def count_request(self, route: str, status: int, duration_s: float) -> None:
        """Counts any request.

        Args:
            route: The route's template, not the path, so that there are few.
            status: HTTP status of the answer.
            duration_s: Seconds it took.
        """
        self._seconds.labels(route, str(status)).observe(duration_s)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _RunnerCollector(Collector):
    """Asks the runner whenever the page is read."""

    def __init__(self, runner: RolloutRunner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        """The runner's numbers as they are now."""
        stats = self._runner.stats()
        yield GaugeMetricFamily("greenfork_pool_workers", "Workers alive.", stats.workers)
        yield GaugeMetricFamily("greenfork_pool_busy", "Rollouts in progress.", stats.busy)
        yield GaugeMetricFamily("greenfork_pool_queued", "Rollouts waiting.", stats.queued)
        yield GaugeMetricFamily(
            "greenfork_pool_oldest_seconds",
            "Seconds that the oldest rollout has been waiting.",
            stats.oldest_s,
        )
        yield CounterMetricFamily(
            "greenfork_holder_starts", "Processes that restored a state.", stats.holder_starts
        )
        yield CounterMetricFamily("greenfork_workers_lost", "Workers died.", stats.workers_lost)
        yield CounterMetricFamily(
            "greenfork_rollouts_retried", "Rollouts retried on another worker.", stats.retried
        )


def _known_reason(reason: str) -> str:
    """Reduces a reason to one of a few; the details are for the log."""
    return reason.partition(":")[0]


def _flatness(scored: ScoredRequest) -> Iterator[bool]:
    """For each group of two or more rewards, whether they are all equal."""
    groups: dict[Hashable, list[float]] = {}
    for item, answer in zip(scored.request.items, scored.answers, strict=True):
        if item.group_id is not None and answer.reward is not None:
            groups.setdefault(item.group_id, []).append(answer.reward)
    for rewards in groups.values():
        if len(rewards) > 1:
            yield len(set(rewards)) == 1
