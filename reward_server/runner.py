"""What the gateway needs of whoever computes rollouts. The pool of the workers is one such."""

from collections.abc import Set
from typing import Protocol

from sim_workers.pool.fair_queue import Flow, Purpose
from sim_workers.pool.rollouts import Rolled, RolloutTask

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
    def oldest_s(self) -> float:
        """Seconds for which the oldest of them has been waiting."""

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

    async def run(self, task: RolloutTask, timeout_s: float, purpose: Purpose) -> Rolled:
        """One rollout's outcome.

        Cancelling the call ends the work.

        Args:
            task: What to roll out.
            timeout_s: Seconds until the outcome is of no use any more, waiting included.
            purpose: What it is wanted for.

        Raises:
            RolloutError: It could not be computed.
        """

    def promote(self, tasks: Set[RolloutTask], flow: Flow) -> None:
        """Lets those of the rollouts that still wait count for another flow, of more weight."""

    def stats(self) -> RunnerStats:
        """What the runner is doing."""
