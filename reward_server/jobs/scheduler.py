"""Which chunk is next, when it is tried again, and how fast a job goes. Scores nothing itself.

Callers take turns, one chunk each; a caller has one job here at a time. At most a few chunks of a
job are begun and not finished, whether they are worked on or wait to be tried again.

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
    """A chunk that has been begun, and how far it is."""

    owned: "OwnedJob"
    number: int
    items: tuple[Item, ...] = ()
    """Empty until they have been read."""
    answers: dict[int, Answer] = field(default_factory=dict)
    """Those that stand, by position."""
    attempts: int = 0
    """Times that items failed and were tried again."""
    outages: int = 0
    """Times in a row that nothing could be done at all."""
    rollouts: int = 0

    def open_positions(self) -> list[int]:
        """Positions of the items without an answer that stands."""
        return [index for index in range(len(self.items)) if index not in self.answers]


@dataclass
class OwnedJob:
    """A job that this gateway works on."""

    job: Job
    todo: deque[int]
    """Chunks that have not been begun."""
    ready: deque[LeasedChunk] = field(default_factory=deque)
    """Chunks that are to be tried again now."""
    begun: int = 0


class RoundRobin:
    """The jobs of a gateway, one per caller.

    Args:
        begun_a_job: How many chunks of a job may be begun and not finished.
    """

    def __init__(self, begun_a_job: int = 2) -> None:
        self._begun_a_job = begun_a_job
        self._by_caller: OrderedDict[str, OwnedJob] = OrderedDict()

    @property
    def callers(self) -> list[str]:
        """Who has a job here."""
        return list(self._by_caller)

    @property
    def job_ids(self) -> set[str]:
        """The jobs."""
        return {owned.job.job_id for owned in self._by_caller.values()}

    def add(self, job: Job, todo: Iterable[int]) -> None:
        """Takes a job in; its caller must have none here."""
        assert job.caller not in self._by_caller, "one job a caller"  # noqa: S101
        self._by_caller[job.caller] = OwnedJob(job, deque(todo))

    def remove(self, job_id: str) -> bool:
        """Forgets a job; False where it is not here."""
        found = [c for c, owned in self._by_caller.items() if owned.job.job_id == job_id]
        for caller in found:
            del self._by_caller[caller]
        return bool(found)

    def next(self) -> LeasedChunk | None:
        """The chunk whose turn it is; None where there is nothing to do just now."""
        for caller, owned in list(self._by_caller.items()):
            chunk = self._chunk_of(owned)
            if chunk is not None:
                self._by_caller.move_to_end(caller)
                return chunk
        return None

    def again(self, chunk: LeasedChunk) -> None:
        """Lets a chunk have another turn."""
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
        clock: Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, items: int) -> None:
        """Notes that items were done just now."""
        now_s = self._clock()
        self._done.append((now_s, items))
        while len(self._done) > 2 and self._done[1][0] < now_s - _WINDOW_S:
            self._done.popleft()

    @property
    def items_per_s(self) -> float | None:
        """Items per second; None before the first were done."""
        begin_s = self._done[0][0]
        items = sum(count for _, count in self._done) - self._done[0][1]
        elapsed_s = self._clock() - begin_s
        return items / elapsed_s if items and elapsed_s > 0 else None


_OUTAGES = (LedgerError.code, NotReady.code)


@dataclass(frozen=True)
class JobRetries:
    """Growing delays, spread out; a bounded number for items, none for outages of the service."""

    limit: int = 5
    """Times that an item is tried again; then its failure stands."""
    base_s: float = 0.5
    """The first delay, seconds."""
    cap_s: float = 30.0
    """The longest delay, seconds."""
    rand: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def delay_s(self, again: int) -> float:
        """Seconds before trying again.

        Args:
            again: How often it was tried again before: 0 the first time.

        >>> JobRetries(rand=lambda: 1.0).delay_s(3)
        4.0
        """
        return backoff_s(again, self.base_s, self.cap_s, self.rand)

    def stands(self, answer: Answer, attempts: int) -> bool:
        """Whether an answer is final.

        Args:
            answer: What became of an item.
            attempts: How often it has been tried again.
        """
        if not answer.is_retryable:
            return True
        return not self.is_outage(answer.code) and attempts >= self.limit

    @staticmethod
    def is_outage(code: str) -> bool:
        """Whether the service, not the item, is the reason: that is waited for without end."""
        return code in _OUTAGES
