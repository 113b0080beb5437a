"""Work of other domains in the workers' processes.

A domain brings a *performer*, a class that is named here by its module and its name, for workers
import it themselves. What a task says is between a domain and its performer.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

import structlog

from shared.errors import DeadlineExceeded, GreenforkError, RolloutCrashed, RolloutError
from shared.model import WireModel
from shared.rewards import DomainMetrics
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.worker import StateWorker, WorkerLimits

__all__ = ["DomainWorker", "Performer", "Task"]

_log = structlog.get_logger(__name__)


class Task(WireModel):
    """What is done for one answer in another domain; the counterpart of a rollout."""

    domain: str
    problem_id: str
    performer: str
    """``module:Class`` of a :class:`Performer`."""
    work: str
    """What to do, as the performer understands it."""
    shown: str | None = None
    """The answer, for people who read the ledger."""
    limit_s: float = 0
    """Wall-clock seconds until nobody waits for it any more."""
    ticket: int = 0
    request_id: str = ""

    @property
    def simulation(self) -> str:
        """Tasks of one problem go together, to a worker that has read it if one is free."""
        return f"{self.domain}/{self.problem_id}"

    @property
    def state_id(self) -> str:
        """What it is about, where that of a rollout is its state."""
        return self.problem_id

    @property
    def horizon_s(self) -> int:
        """No time passes."""
        return 0


class Performer(Protocol):
    """Does a domain's work in a worker's process. One thread performs; another may interrupt."""

    def perform(self, work: str, limit_s: float) -> Mapping[str, int | float | None]:
        """The metrics that a task comes to.

        Args:
            work: As in :class:`Task`.
            limit_s: Seconds after which it must have ended.

        Raises:
            GreenforkError: There are none, and why.
        """

    def interrupt(self) -> None:
        """Ends what is being performed: it fails."""

    def close(self) -> None:
        """Ends everything."""


class DomainWorker(StateWorker):
    """What one worker does, in all domains."""

    def __init__(self, limits: WorkerLimits) -> None:
        super().__init__(limits)
        self._performers: dict[str, Performer] = {}
        self._running: tuple[int, Performer] | None = None
        self._ended: set[int] = set()
        self._task_lock = threading.Lock()

    def perform(self, tasks: Sequence[Task]) -> list[RolloutOutcome]:
        """The outcome of each task, in order. Their limits count from now."""
        started_s = time.monotonic()
        try:
            return [self._performed(task, started_s) for task in tasks]
        finally:
            with self._task_lock:
                self._ended.clear()

    def cancel(self, tickets: Sequence[int]) -> None:
        """Ends those rollouts and tasks, of the batch that runs or is about to."""
        super().cancel(tickets)
        with self._task_lock:
            self._ended.update(tickets)
            if self._running is not None and self._running[0] in tickets:
                self._running[1].interrupt()

    def close(self) -> None:
        """Ends everything."""
        for performer in self._performers.values():
            performer.close()
        super().close()

    def _performed(self, task: Task, started_s: float) -> RolloutOutcome:
        begun_s = time.monotonic()
        try:
            numbers = self._numbers(task, started_s + task.limit_s - begun_s)
            outcome = RolloutOutcome(numbers=DomainMetrics.model_validate(dict(numbers)))
        except GreenforkError as exc:
            outcome = RolloutOutcome.failed(exc)
        except Exception as exc:  # noqa: BLE001 - a package of somebody's own
            _log.exception("task_failed", domain=task.domain, problem_id=task.problem_id)
            words = f"the domain {task.domain} failed: {type(exc).__name__}: {exc}"
            outcome = RolloutOutcome.failed(RolloutError(words, "domain_failed"))
        took = {"waited_s": begun_s - started_s, "ran_s": time.monotonic() - begun_s}
        return outcome.model_copy(update=took)

    def _numbers(self, task: Task, left_s: float) -> Mapping[str, int | float | None]:
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the task could start")
        performer = self._performer(task.performer)
        with self._task_lock:
            if task.ticket in self._ended:
                raise RolloutError("nothing is waiting for the task any more", "cancelled")
            self._running = task.ticket, performer
        try:
            return performer.perform(task.work, left_s)
        finally:
            with self._task_lock:
                self._running = None

    def _performer(self, name: str) -> Performer:
        if name not in self._performers:
            module, _, kind = name.partition(":")
            try:
                self._performers[name] = getattr(import_module(module), kind)()
            except (ImportError, AttributeError) as exc:
                raise RolloutCrashed(f"the worker has no {name}: {exc}", "domain_missing") from exc
        return self._performers[name]
