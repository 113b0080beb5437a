"""Works on the jobs that this gateway owns, a few chunks at a time, until they are done.

Jobs bypass the admission control of HTTP requests; this module bounds them. The order of rollouts
is decided where all of them queue, by their flows; a job's flow weighs little beside its caller's
calls.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from reward_server.event_loop import TimeSlice
from reward_server.jobs.leases import JobLeases
from reward_server.jobs.records import Job
from reward_server.jobs.scheduler import JobRetries, LeasedChunk, RoundRobin, ThroughputMeter
from reward_server.scoring.response_cache import Answer
from reward_server.scoring.scorer import ScoredRequest
from shared.errors import DeadlineExceeded, GreenforkError
from shared.wire.error_info import ErrorInfo
from shared.wire.jobs import JobResult
from shared.wire.scoring import Counts, ScoreRequest, ScoreResult
from sim_workers.pool.fair_queue import Flow

__all__ = ["JobNotifier", "JobRunner", "Scoring"]

_LANES = 2
"""Number of chunks in progress at a time."""
_BEAT_S = 5.0
"""How often the gateway renews its leases and looks for jobs that others have left."""
_CHUNK_TIMEOUT_S = 3600.0
"""Generous, because nobody waits for a chunk; hanging rollouts are ended by their own limit."""
_LOG = structlog.get_logger("reward_server")


class Scoring(Protocol):
    """What scores a chunk: :meth:`reward_server.scoring.scorer.Scorer.score`."""

    async def __call__(
        self, request: ScoreRequest, flow: Flow, request_id: str = ""
    ) -> ScoredRequest:
        """Scores a request."""


class JobNotifier:
    """Notifies followers of changes to a job in this gateway; poll for changes made by others.

    A ticket is taken before looking, so that nothing is missed between looking and waiting.
    """

    def __init__(self) -> None:
        self._tickets: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self.is_closed = False
        """Whether the gateway is stopping, and followers should leave."""

    def ticket(self, job_id: str) -> asyncio.Event:
        """An event that is set when something happens to the job from now on."""
        ticket = self._tickets.get(job_id)
        if ticket is None:
            ticket = self._tickets[job_id] = asyncio.Event()
        return ticket

    def tell(self, job_id: str) -> None:
        """Notifies followers that something has happened to a job."""
        ticket = self._tickets.pop(job_id, None)
        if ticket is not None:
            ticket.set()

    def close(self) -> None:
        """Dismisses all followers."""
        self.is_closed = True
        for job_id in list(self._tickets):
            self.tell(job_id)

    async def wait(self, ticket: asyncio.Event, patience_s: float) -> None:
        """Returns when something has happened, or after a while."""
        try:
            async with asyncio.timeout(patience_s):
                await ticket.wait()
        except TimeoutError:
            return


class JobRunner:
    """Works on jobs from :meth:`start` to :meth:`close`.

    Args:
        leases: The jobs that this gateway owns, or may take.
        score: Scores a chunk.
        changes: Notified of progress.
        observe: Receives everything that was scored, for the metrics.
        retries: What is retried, and when.
    """

    def __init__(
        self,
        leases: JobLeases,
        score: Scoring,
        changes: JobNotifier,
        observe: Callable[[ScoredRequest], None] = lambda scored: None,
        retries: JobRetries | None = None,
    ) -> None:
        self._leases = leases
        self._score = score
        self._notifier = changes
        self._observe = observe
        self._retries = retries or JobRetries()
        self._round_robin = RoundRobin()
        self._meters: dict[str, ThroughputMeter] = {}
        self._working: dict[asyncio.Task[None], LeasedChunk] = {}
        self._resting: dict[asyncio.Task[None], LeasedChunk] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._has_work = asyncio.Event()
        self._has_news = asyncio.Event()
        self._recording = asyncio.Lock()

    async def start(self) -> None:
        """Starts working, beginning with what was left unfinished.

        Raises:
            LedgerError: The database failed.
        """
        await self._leases.inherit()
        self._loops = [asyncio.create_task(self._beat()), asyncio.create_task(self._dispatch())]

    async def close(self) -> None:
        """Stops working; chunks without results are left to the next gateway."""
        tasks = [*self._loops, *self._working, *self._resting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(GreenforkError):
            await self._leases.release()

    def nudge(self) -> None:
        """Wakes the runner, because there may be a new job."""
        self._has_news.set()

    def drop(self, job_id: str) -> None:
        """Stops work on a job, including its rollouts."""
        if not self._round_robin.remove(job_id):
            return
        self._meters.pop(job_id, None)
        self._notifier.tell(job_id)
        for tasks in (self._working, self._resting):
            for task, chunk in tasks.items():
                if chunk.owned.job.job_id == job_id and task is not asyncio.current_task():
                    task.cancel()
        self.nudge()

    def items_per_s(self, job_id: str) -> float | None:
        """The recent rate of a job; None if it is not known here."""
        meter = self._meters.get(job_id)
        return None if meter is None else meter.items_per_s

    async def _beat(self) -> None:
        """Renews the leases of jobs that are here, and takes further jobs."""
        outages = 0
        while True:
            self._has_news.clear()
            try:
                await self._refresh()
                outages = 0
            except GreenforkError as exc:
                outages += 1
                _LOG.warning("jobs_paused", code=exc.code, reason=exc.message, outages=outages)
            except Exception as exc:  # noqa: BLE001  the jobs' boundary: others go on
                _LOG.error("unexpected", exc_info=exc)
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_S):
                    await self._has_news.wait()

    async def _refresh(self) -> None:
        await self._leases.claim(self._round_robin.callers)
        async with self._recording:  # nothing of these is finished between asking and dropping
            jobs = {job.job_id: job for job in await self._leases.renew()}
            for job_id in self._round_robin.job_ids - jobs.keys():
                _LOG.warning("job_lost", job_id=job_id)
                self.drop(job_id)
        for job_id in jobs.keys() - self._round_robin.job_ids:
            await self._adopt(jobs[job_id])

    async def _adopt(self, job: Job) -> None:
        todo = await self._leases.unfinished_chunks(job.job_id)
        if not todo or job.caller in self._round_robin.callers:
            return
        self._round_robin.add(job, todo)
        self._meters[job.job_id] = ThroughputMeter()
        self._has_work.set()
        self._notifier.tell(job.job_id)
        _LOG.info(
            "job_started",
            job_id=job.job_id,
            caller=job.caller,
            items=job.items,
            done=job.done,
            reward=job.spec.reward.name,
        )

    async def _dispatch(self) -> None:
        while True:
            self._has_work.clear()
            while len(self._working) < _LANES and (chunk := self._round_robin.next()) is not None:
                self._spawn(self._working, chunk, self._work(chunk))
            await self._has_work.wait()

    def _spawn(
        self,
        tasks: dict[asyncio.Task[None], LeasedChunk],
        chunk: LeasedChunk,
        work: Coroutine[None, None, None],
    ) -> None:
        def forget(task: asyncio.Task[None]) -> None:
            del tasks[task]
            self._has_work.set()

        task = asyncio.create_task(work)
        tasks[task] = chunk
        task.add_done_callback(forget)

    async def _work(self, chunk: LeasedChunk) -> None:
        """One turn of a chunk: the job's boundary, at which every error is classified."""
        job_id = chunk.owned.job.job_id
        try:
            await self._advance(chunk)
        except GreenforkError as exc:
            if exc.retryable:
                self._rest(chunk, exc.code)
            else:
                await self._fail(chunk, ErrorInfo.of(exc))
        except Exception as exc:  # noqa: BLE001
            _LOG.error("unexpected", job_id=job_id, exc_info=exc)
            words = "internal error; the service's log has the details under this job's id"
            await self._fail(chunk, ErrorInfo(code="internal", message=words, retryable=False))

    async def _advance(self, chunk: LeasedChunk) -> None:
        """Scores the open items, and records the chunk once none are left.

        Raises:
            GreenforkError: The chunk as a whole could not be scored, or recorded.
        """
        job = chunk.owned.job
        if not chunk.items:
            chunk.items = await self._leases.items(job.job_id, chunk.number)
        positions = chunk.open_positions()
        if positions:
            worst = await self._score_open(chunk, positions)
            if worst is not None:
                self._rest(chunk, worst)
                return
        await self._record(chunk)

    async def _score_open(self, chunk: LeasedChunk, positions: list[int]) -> str | None:
        """Scores the items at some positions; returns an error code of those to retry, if any."""
        job = chunk.owned.job
        request = ScoreRequest(
            items=tuple(chunk.items[position] for position in positions),
            reward=job.spec.reward,
            timeout_s=_CHUNK_TIMEOUT_S,
            series=job.spec.series,
            metrics=job.spec.metrics,
        )
        try:
            scored = await self._score(request, job.flow(), f"job-{job.job_id}")
        except DeadlineExceeded as exc:
            answers = [_failed(exc)] * len(positions)
        else:
            self._observe(scored)
            chunk.rollouts += scored.counts.rollouts
            answers = list(scored.answers)
        codes = set()
        for position, answer in zip(positions, answers, strict=True):
            if self._retries.stands(answer, chunk.attempts):
                chunk.answers[position] = answer
            else:
                codes.add(answer.code)
        return min(codes, key=self._retries.is_outage, default=None)

    async def _record(self, chunk: LeasedChunk) -> None:
        answers = [chunk.answers[position] for position in range(len(chunk.items))]
        pairs = zip(chunk.items, answers, strict=True)
        lines, time_slice = [], TimeSlice()
        for item, answer in pairs:
            lines.append(JobResult.of(answer.result(item.id)).model_dump_json().encode())
            await time_slice.taken()
        counts = Counts.of(answers, chunk.rollouts)
        job_id = chunk.owned.job.job_id
        async with self._recording:
            job = await self._leases.finish_chunk(job_id, chunk.number, lines, counts)
            self._round_robin.finish(chunk)
            if job is None:
                self.drop(job_id)
                return
            chunk.owned.job = job
            if job_id in self._meters:
                self._meters[job_id].add(len(answers))
            self._notifier.tell(job_id)
            if job.status != "running":
                self._end(job)

    def _rest(self, chunk: LeasedChunk, code: str) -> None:
        """Gives a chunk another turn after a while; other chunks have theirs meanwhile."""
        if self._retries.is_outage(code):
            chunk.outages += 1
            delay_s = self._retries.delay_s(chunk.outages - 1)
        else:
            chunk.outages = 0
            chunk.attempts += 1
            delay_s = self._retries.delay_s(chunk.attempts - 1)
        _LOG.warning(
            "job_paused" if chunk.outages else "job_retries",
            job_id=chunk.owned.job.job_id,
            chunk=chunk.number,
            code=code,
            delay_s=round(delay_s, 2),
        )
        self._spawn(self._resting, chunk, self._wake(chunk, delay_s))

    async def _wake(self, chunk: LeasedChunk, delay_s: float) -> None:
        await self._retries.sleep(delay_s)
        self._round_robin.again(chunk)

    async def _fail(self, chunk: LeasedChunk, error: ErrorInfo) -> None:
        """Ends a job that no retry can help."""
        async with self._recording:
            try:
                job = await self._leases.fail(chunk.owned.job.job_id, error)
            except GreenforkError as exc:
                self._rest(chunk, exc.code)
                return
            if job is None:
                self.drop(chunk.owned.job.job_id)
            else:
                self._end(job)

    def _end(self, job: Job) -> None:
        self.drop(job.job_id)
        fields = {"code": job.error.code} if job.error else {}
        _LOG.info(
            f"job_{job.status}",
            job_id=job.job_id,
            caller=job.caller,
            items=job.items,
            **job.counts.model_dump(),
            **fields,
        )


def _failed(error: GreenforkError) -> Answer:
    return Answer.of(ScoreResult(id=None, status="failed", reward=None, error=ErrorInfo.of(error)))
