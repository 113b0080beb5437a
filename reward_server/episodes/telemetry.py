"""Metrics of episodes for Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.episodes.store import EpisodeTotals
from sim_workers.pool.episodes.dispatch import EpisodeStats

__all__ = ["EpisodeTelemetry"]

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class EpisodeTelemetry(Collector):
    """Counters of this gateway, and totals from the database.

    Args:
        registry: The registry to add them to.
        stats: Returns the current state of the workers.
    """

    def __init__(self, registry: CollectorRegistry, stats: Callable[[], EpisodeStats]) -> None:
        self._stats = stats
        self.totals = EpisodeTotals()
        """The totals from the latest count."""
        self._steps = Counter(
            "greenfork_episode_steps", "Steps of episodes that were done.", registry=registry
        )
        self._seconds = Histogram(
            "greenfork_episode_step_seconds",
            "Seconds from a step's request to its record, including the wait.",
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(self)

    def count_step(self, seconds: float) -> None:
        """Counts a completed step and its time."""
        self._steps.inc()
        self._seconds.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The current numbers; the totals are a few seconds old."""
        stats, totals = self._stats(), self.totals
        episodes = GaugeMetricFamily(
            "greenfork_episodes",
            "Episodes: with a process at this gateway's workers, without one, finished.",
            labels=["status"],
        )
        episodes.add_metric(["live"], stats.live)
        episodes.add_metric(["parked"], max(0, totals.running - stats.live))
        episodes.add_metric(["finished"], totals.finished)
        yield episodes
        yield CounterMetricFamily(
            "greenfork_episode_openings", "Simulations opened for episodes.", stats.opened
        )
        yield CounterMetricFamily(
            "greenfork_episode_steps_replayed",
            "Steps repeated because there was no process.",
            stats.replayed,
        )
