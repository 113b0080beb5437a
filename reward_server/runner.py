"""What the gateway needs of whoever computes rollouts. The pool of the workers is one such."""

from typing import Protocol

from shared.rewards import Metrics
from sim_workers.rollouts import RolloutTask

__all__ = ["RolloutRunner", "RunnerStats"]


class RunnerStats(Protocol):
    """A snapshot of the runner, for the metrics page."""

    @property
    def workers(self) -> int:
        """Workers that are alive."""

    @property
    def busy(self) -> int:
        """Rollouts under way."""

    @property
    def queued(self) -> int:
        """Rollouts that wait for a worker."""

    @property
    def holder_starts(self) -> int:
        """Processes that restored a state, since the start."""

    @property
    def workers_lost(self) -> int:
        """Workers that died, since the start."""

    @property
    def retried(self) -> int:
        """Rollouts that were given to another worker, since the start."""


class RolloutRunner(Protocol):
    """Computes rollouts."""

    async def run(self, task: RolloutTask, timeout_s: float, is_urgent: bool = False) -> Metrics:
        """One rollout's metrics, with the series.

        Cancelling the call ends the work.

        Args:
            task: What to roll out.
            timeout_s: Seconds until the outcome is of no use any more, waiting included.
            is_urgent: Whether it goes before all that waits, as a probe of the service must.

        Raises:
            RolloutError: It could not be computed.
        """

    def stats(self) -> RunnerStats:
        """What the runner is doing."""
