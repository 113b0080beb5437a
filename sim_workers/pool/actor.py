"""The worker as a Ray actor: thin, and no SUMO in its process."""

import os
from collections.abc import Sequence
from typing import Any

import ray

from sim_workers.engine.version import sumo_version
from sim_workers.pool.worker import (
    Bundle,
    StateRef,
    StateWorker,
    WorkerLimits,
    WorkerOutcome,
    WorkerRollout,
)

__all__ = ["SimActor", "WorkerHello", "start_actor"]

_THREADS = 2
"""One runs a batch, the other one can cancel."""


class WorkerHello:
    """What an actor says of itself when it is ready."""

    def __init__(self, pid: int, sumo_version: str) -> None:
        self.pid = pid
        self.sumo_version = sumo_version


class SimActor:
    """One a CPU."""

    def __init__(self, limits: WorkerLimits) -> None:
        self._worker = StateWorker(limits)

    def hello(self) -> WorkerHello:
        """Answers once the actor runs."""
        return WorkerHello(os.getpid(), sumo_version())

    def run(
        self, ref: StateRef, rollouts: Sequence[WorkerRollout], bundle: Bundle | None
    ) -> tuple[list[WorkerOutcome] | None, int]:
        """See :meth:`StateWorker.run`; also how many holders were started so far."""
        return self._worker.run(ref, rollouts, bundle), self._worker.holder_starts

    def cancel(self, tickets: Sequence[int]) -> None:
        """See :meth:`StateWorker.cancel`; answered while a batch runs."""
        self._worker.cancel(tickets)

    def close(self) -> None:
        """Ends the holders."""
        self._worker.close()


def start_actor(limits: WorkerLimits) -> Any:  # noqa: ANN401  Ray's handles have no static type
    """Asks Ray for an actor on one CPU and returns its handle; it may not be ready yet."""
    options = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": _THREADS}
    return ray.remote(**options)(SimActor).remote(limits)
