"""Decides which chunk is next and when it is retried, and measures rates. Scores nothing itself.

Callers take turns, one chunk each; a caller has one job here at a time. At most a few chunks of a
job are begun but unfinished, whether they are being worked on or are waiting to be retried.

"""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from reward_server.jobs.records import Job
from reward_server.scoring.response_cache import Answer
from shared.backoff import backoff_s
from shared.errors import LedgerError, NotReady
from shared.wire.scoring import Item

__all__ = ["JobRetries", "LeasedChunk", "OwnedJob", "RoundRobin", "ThroughputMeter"]


@dataclass
class LeasedChunk:
    """A chunk that has been begun, and its progress."""

    owned: "OwnedJob"
    number: int
    items: tuple[Item, ...] = ()
    """Empty until they have been read."""
    answers: dict[int, Answer] = field(default_factory=dict)
    """Final answers, by position."""
    attempts: int = 0
    """How often failed items were retried."""
    outages: int = 0
    """How often in a row nothing could be done at all."""
    rollouts: int = 0

    def open_positions(self) -> list[int]:
        """Positions of the items without a final answer."""
        return [index for index in range(len(self.items)) if index not in self.answers]


@dataclass
class OwnedJob:
    """A job that this gateway works on."""

    job: Job
    todo: deque[int]
    """Chunks that have not been begun."""
    ready: deque[LeasedChunk] = field(default_factory=deque)
    """Chunks that are due for a retry."""
    begun: int = 0


class RoundRobin:
    """The jobs of a gateway, one per caller.

    Args:
        begun_a_job: Maximum number of chunks per job that are begun but unfinished.
    """

    def __init__(self, begun_a_job: int = 2) -> None:
        self._begun_a_job = begun_a_job
        self._by_caller: OrderedDict[str, OwnedJob] = OrderedDict()

    @property
    def callers(self) -> list[str]:
        """The callers with a job here."""
        return list(self._by_caller)

    @property
    def job_ids(self) -> set[str]:
        """The ids of the jobs."""
        return {owned.job.job_id for owned in self._by_caller.values()}

    def add(self, job: Job, todo: Iterable[int]) -> None:
        """Adds a job; its caller must not have one here."""
        assert job.caller not in self._by_caller, "one job a caller"  # noqa: S101
        self._by_caller[job.caller] = OwnedJob(job, deque(todo))

    def remove(self, job_id: str) -> bool:
        """Removes a job; False if it is not here."""
        found = [c for c, owned in self._by_caller.items() if owned.job.job_id == job_id]
        for caller in found:
            del self._by_caller[caller]
        return bool(found)

    def next(self) -> LeasedChunk | None:
        """The chunk whose turn it is; None if there is nothing to do just now."""
        for caller, owned in list(self._by_caller.items()):
            chunk = self._chunk_of(owned)
            if chunk is not None:
                self._by_caller.move_to_end(caller)
                return chunk
        return None

    def again(self, chunk: LeasedChunk) -> None:
        """Gives a chunk another turn."""
        chunk.owned.ready.append(chunk)

    def finish(self, chunk: LeasedChunk) -> None:
        """Makes room for another chunk of the job."""
        chunk.owned.begun -= 1

    def _chunk_of(self, owned: OwnedJob) -> LeasedChunk | None:
        if owned.ready:
            return owned.ready.popleft()
        if not owned.todo or owned.begun >= self._begun_a_job:
            return None
        owned.begun += 1
        return LeasedChunk(owned, owned.todo.popleft())


_WINDOW_S = 30.0


class ThroughputMeter:
    """Items per second over the last half minute.

    Args:
        clock: A monotonic clock, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, items: int) -> None:
        """Records that items were finished just now."""
        now_s = self._clock()
        self._done.append((now_s, items))
        while len(self._done) > 2 and self._done[1][0] < now_s - _WINDOW_S:
            self._done.popleft()

    @property
    def items_per_s(self) -> float | None:
        """Items per second; None before the first are finished."""
        begin_s = self._done[0][0]
        items = sum(count for _, count in self._done) - self._done[0][1]
        elapsed_s = self._clock() - begin_s
        return items / elapsed_s if items and elapsed_s > 0 else None


_OUTAGES = (LedgerError.code, NotReady.code)


@dataclass(frozen=True)
class JobRetries:
    """Growing delays with jitter; a bounded number for items, unbounded for service outages."""

    limit: int = 5
    """Number of retries of an item; after that its failure is final."""
    base_s: float = 0.5
    """The first delay, seconds."""
    cap_s: float = 30.0
    """The longest delay, seconds."""
    rand: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def delay_s(self, again: int) -> float:
        """Seconds to wait before a retry.

        Args:
            again: Number of earlier retries: 0 the first time.

        >>> JobRetries(rand=lambda: 1.0).delay_s(3)
        4.0
        """
        return backoff_s(again, self.base_s, self.cap_s, self.rand)

    def stands(self, answer: Answer, attempts: int) -> bool:
        """Whether an answer is final.

        Args:
            answer: What became of an item.
            attempts: Number of retries so far.
        """
        if not answer.is_retryable:
            return True
        return not self.is_outage(answer.code) and attempts >= self.limit

    @staticmethod
    def is_outage(code: str) -> bool:
        """Whether the service, not the item, is the reason; outages are waited out indefinitely."""
        return code in _OUTAGES
