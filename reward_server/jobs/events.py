"""Streams a running job's results, in order, and its progress."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from sse_starlette import ServerSentEvent

from reward_server.jobs.records import Job
from reward_server.jobs.runner import JobNotifier, JobRunner
from reward_server.jobs.store import JobStore
from shared.errors import LedgerError
from shared.wire.jobs import JobView

__all__ = ["JobFollower"]

_LOOK_AGAIN_S = 1.0
"""How often to look at jobs that another gateway works on."""
_LEAST_BETWEEN_S = 0.5
"""Minimum time between two events of one job."""
_LOG = structlog.get_logger("reward_server")


class JobFollower:
    """Follows jobs, whichever gateway works on them."""

    def __init__(self, store: JobStore, runner: JobRunner, changes: JobNotifier) -> None:
        self._store = store
        self._runner = runner
        self._notifier = changes

    async def results(self, job: Job, offset: int, is_following: bool) -> AsyncIterator[bytes]:
        """Lines of results, several at a time, in the order of the items.

        Args:
            job: The job.
            offset: Number of results to skip.
            is_following: Whether to wait for results that are still missing. Ends early if the job
                fails or is deleted, or if the gateway stops.
        """
        number, skipped = await self._store.locate(job.job_id, offset)
        while offset < job.items:
            ticket = self._notifier.ticket(job.job_id)
            lines = await self._lines(job.job_id, number, is_following)
            if lines is not None:
                yield b"\n".join(lines[skipped:]) + b"\n"
                offset += len(lines) - skipped
                number, skipped = number + 1, 0
                continue
            if not is_following or self._notifier.is_closed:
                return
            if not await self._wait(job.job_id, ticket):
                return

    async def events(self, job: Job) -> AsyncIterator[ServerSentEvent]:
        """The job's progress, whenever something has changed, until it is finished or gone."""
        told: Job | None = None
        found: Job | None = job
        while not self._notifier.is_closed:
            ticket = self._notifier.ticket(job.job_id)
            try:
                found = await self._store.find(job.job_id)
            except LedgerError as exc:
                _LOG.warning("job_not_followed", job_id=job.job_id, code=exc.code)
            if found is None:
                yield _event((told or job).view().model_copy(update={"status": "cancelled"}))
                return
            if found != told:
                told = found
                view = found.view(self._runner.items_per_s(job.job_id))
                yield _event(view)
                if view.is_finished:
                    return
                await asyncio.sleep(_LEAST_BETWEEN_S)
            await self._notifier.wait(ticket, _LOOK_AGAIN_S)

    async def _lines(self, job_id: str, number: int, is_patient: bool) -> list[bytes] | None:
        """The results of a chunk; None if there are none, or if that is unknown just now."""
        try:
            return await self._store.results(job_id, number)
        except LedgerError as exc:
            if not is_patient:
                raise
            _LOG.warning("job_not_followed", job_id=job_id, code=exc.code)
            return None

    async def _wait(self, job_id: str, ticket: asyncio.Event) -> bool:
        """Waits for more results; False if none will come."""
        try:
            job = await self._store.find(job_id)
        except LedgerError:
            await self._notifier.wait(ticket, _LOOK_AGAIN_S)
            return True
        if job is None or job.status == "failed":
            return False
        if job.status != "done":  # if it is, all results are there by now
            await self._notifier.wait(ticket, _LOOK_AGAIN_S)
        return True


def _event(view: JobView) -> ServerSentEvent:
    kind = view.status if view.is_finished else "progress"
    return ServerSentEvent(view.model_dump_json(), event=kind, id=str(view.done))
