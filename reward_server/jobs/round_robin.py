"""Whose piece is next. Pure bookkeeping: it scores nothing and asks no clock.

Callers take turns, a piece each; a caller has one job here at a time. At most a few pieces of a
job are begun and not finished, whether they are worked on or wait to be tried again.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from reward_server.jobs.records import Job
from reward_server.scoring.response_cache import Answer
from shared.wire.scoring import ScoreItem

__all__ = ["LeasedChunk", "OwnedJob", "RoundRobin"]


@dataclass
class LeasedChunk:
    """A piece that has been begun, and how far it is."""

    owned: "OwnedJob"
    number: int
    items: tuple[ScoreItem, ...] = ()
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
    """Pieces that have not been begun."""
    ready: deque[LeasedChunk] = field(default_factory=deque)
    """Pieces that are to be tried again now."""
    begun: int = 0


class RoundRobin:
    """The jobs of a gateway, one a caller.

    Args:
        begun_a_job: How many pieces of a job may be begun and not finished.
    """

    def __init__(self, begun_a_job: int = 2) -> None:
        self._begun_a_job = begun_a_job
        self._by_caller: OrderedDict[str, OwnedJob] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_caller)

    @property
    def callers(self) -> list[str]:
        """Who has a job here."""
        return list(self._by_caller)

    @property
    def job_ids(self) -> set[str]:
        """The jobs."""
        return {owned.job.job_id for owned in self._by_caller.values()}

    def add(self, job: Job, todo: Iterable[int]) -> OwnedJob:
        """Takes a job in; its caller must have none here."""
        assert job.caller not in self._by_caller, "one job a caller"  # noqa: S101
        owned = self._by_caller[job.caller] = OwnedJob(job, deque(todo))
        return owned

    def remove(self, job_id: str) -> bool:
        """Forgets a job; False where it is not here."""
        found = [c for c, owned in self._by_caller.items() if owned.job.job_id == job_id]
        for caller in found:
            del self._by_caller[caller]
        return bool(found)

    def has(self, owned: OwnedJob) -> bool:
        """Whether a job is still here."""
        return self._by_caller.get(owned.job.caller) is owned

    def next(self) -> LeasedChunk | None:
        """The piece whose turn it is; None where there is nothing to do just now."""
        for caller, owned in list(self._by_caller.items()):
            chunk = self._chunk_of(owned)
            if chunk is not None:
                self._by_caller.move_to_end(caller)
                return chunk
        return None

    def again(self, chunk: LeasedChunk) -> None:
        """Lets a piece have another turn."""
        chunk.owned.ready.append(chunk)

    def finish(self, chunk: LeasedChunk) -> None:
        """Makes room for another piece of the job."""
        chunk.owned.begun -= 1

    def _chunk_of(self, owned: OwnedJob) -> LeasedChunk | None:
        if owned.ready:
            return owned.ready.popleft()
        if not owned.todo or owned.begun >= self._begun_a_job:
            return None
        owned.begun += 1
        return LeasedChunk(owned, owned.todo.popleft())
