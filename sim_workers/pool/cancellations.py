"""Rollouts that nobody waits for any more, as one thread tells the other one that runs them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shared.errors import RolloutError
from sim_workers.engine.fork_client import SimulationHandle
from sim_workers.engine.messages import Rollout

__all__ = ["Cancellations"]


class Cancellations:
    """The tickets of those rollouts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: set[int] = set()
        self._running: tuple[int, SimulationHandle] | None = None

    def add(self, tickets: Sequence[int]) -> None:
        """Notes the tickets, and ends the rollout under way if it is one of them."""
        with self._lock:
            self._tickets.update(tickets)
            if self._running is not None and self._running[0] in self._tickets:
                ticket, holder = self._running
                holder.cancel(ticket)

    @contextmanager
    def forgotten_afterwards(self) -> Iterator[None]:
        """Around a batch: the next one has other tickets."""
        try:
            yield
        finally:
            with self._lock:
                self._tickets.clear()

    def check(self, ticket: int) -> None:
        """Raises RolloutError, ``cancelled``, if nobody waits for the ticket."""
        if ticket in self._tickets:
            raise RolloutError("nothing is waiting for the rollout any more", "cancelled")

    @contextmanager
    def noticed_by(self, holder: SimulationHandle, rollout: Rollout) -> Iterator[None]:
        """Sends a rollout; while its reply is waited for, it can be cancelled."""
        with self._lock:
            self.check(rollout.ticket)
            holder.send(rollout)
            self._running = (rollout.ticket, holder)
        try:
            yield
        finally:
            with self._lock:
                self._running = None
