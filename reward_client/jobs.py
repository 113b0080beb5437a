"""Bulk jobs: files of decisions that are sent once and scored while nobody need wait.

Everything here survives a lost connection and a restart of the service: a job is sent under a key,
and results are taken up where they broke off.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Self

import httpx
from pydantic import SecretStr, ValidationError

from reward_client.addresses import open_http
from reward_client.retries import RetryPolicy
from reward_client.transport import exchange, parsed, refusal_of, unreachable
from shared.errors import (
    InputError,
    Overloaded,
    ServiceError,
    ServiceFault,
    ServiceRefused,
    ServiceUnreachable,
)
from shared.wire.jobs import JobPage, JobResult, JobSpec, JobView
from shared.wire.scoring import ScoreItem

__all__ = ["JobClient", "JobSource"]

JobSource = Path | Sequence[ScoreItem]
"""Items, or a file of them: one as JSON a line, or Parquet (``.parquet``)."""

_LINES = "application/x-ndjson"
_PARQUET = "application/vnd.apache.parquet"
_PART_BYTES = 2**20
_ITEMS_A_PART = 1000
_CONNECT_S = 5.0
_LOOKUP_S = 30.0
_STORING_S = 900.0
"""For how long the service may read a file before it answers."""
_IDLE_S = 60.0
"""After so long without a result the connection is made anew, in case it is dead."""
_PATIENT = RetryPolicy(retries=60)
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class JobClient:
    """Sends, follows, reads and deletes the caller's jobs. For one event loop.

    Args:
        url: Where the service listens, ``http://127.0.0.1:8000``.
        api_key: Sent as a bearer token; None where the service asks for none.
        retry: When a single request is sent again.
        patience: When what was begun is taken up again, as while the service restarts.
        transport: Replaces the network, for tests.

    Raises:
        ConfigError: The URL is none.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr | None = None,
        retry: RetryPolicy | None = None,
        patience: RetryPolicy = _PATIENT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retry = retry or RetryPolicy()
        self._patience = patience
        wait = httpx.Timeout(_LOOKUP_S, connect=_CONNECT_S)
        self._http = open_http(url, api_key, wait, _LIMITS, transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def submit(
        self, source: JobSource, spec: JobSpec | None = None, key: str | None = None
    ) -> JobView:
        """Sends a job; all of it is taken, or nothing.

        Args:
            source: What to score.
            spec: The reward of all items; by default ``queue_gain`` over 60 s.
            key: The same key with the same content is the same job, also when this is called again
                after a crash; None makes one up.

        Raises:
            InputError: The file cannot be read.
            ServiceUnreachable: Nothing answers, or only that it is too busy.
            ServiceRefused: An item is none, or the key was used for something else; ``code`` says.
        """
        headers = {"Idempotency-Key": key or uuid.uuid4().hex, "Content-Type": _media_type(source)}
        params = {"spec": (spec or JobSpec()).model_dump_json(exclude_none=True)}
        attempt, faults = 0, 0
        while True:
            try:
                response = await self._http.post(
                    "/v1/jobs",
                    params=params,
                    headers=headers,
                    content=_parts(source),
                    timeout=httpx.Timeout(_STORING_S, connect=_CONNECT_S),
                )
                error = None if response.is_success else refusal_of(response)
            except OSError as exc:
                raise InputError(f"cannot read {source}: {exc.strerror}") from exc
            except httpx.RequestError as exc:
                error = unreachable(exc)
            if error is None:
                return parsed(response, JobView)
            faults += isinstance(error, ServiceFault)
            if faults > 1:
                raise error
            is_known = error.code == Overloaded.code  # it is there, and takes it soon
            await self._wait(self._patience if is_known else self._retry, attempt, error)
            attempt += 1

    async def job(self, job_id: str) -> JobView:
        """A job as it is at the moment.

        Raises:
            ServiceUnreachable: Nothing answers.
            ServiceRefused: ``unknown_job``.
        """
        return parsed(await self._send("GET", f"/v1/jobs/{job_id}", self._retry), JobView)

    async def jobs(self, limit: int = 100, offset: int = 0) -> JobPage:
        """Some of the caller's jobs, the newest first."""
        path = f"/v1/jobs?limit={limit}&offset={offset}"
        return parsed(await self._send("GET", path, self._retry), JobPage)

    async def delete(self, job_id: str) -> None:
        """Ends a job where it runs, and deletes it with its results.

        Raises:
            ServiceUnreachable: Nothing answers.
            ServiceRefused: ``unknown_job``.
        """
        await self._send("DELETE", f"/v1/jobs/{job_id}", self._retry)

    async def follow(self, job_id: str, every_s: float = 0.5) -> AsyncIterator[JobView]:
        """The job whenever something has changed, until it is finished; the last one says how.

        Args:
            job_id: The job.
            every_s: Seconds between two looks.
        """
        told: JobView | None = None
        while told is None or not told.is_finished:
            response = await self._send("GET", f"/v1/jobs/{job_id}", self._patience)
            view = parsed(response, JobView)
            if view != told:
                told = view
                yield view
            if not view.is_finished:
                await self._patience.sleep(every_s)

    async def wait(self, job_id: str) -> JobView:
        """The job once it is finished, however that ended."""
        async for view in self.follow(job_id):
            last = view
        return last

    async def results(self, job_id: str, offset: int = 0) -> AsyncIterator[JobResult]:
        """All results, in the order of the items, as they get ready.

        Args:
            job_id: The job.
            offset: Results that are passed over.

        Raises:
            ServiceUnreachable: Nothing answers any more.
            ServiceRefused: ``unknown_job``, also where it was deleted meanwhile; or, where the job
                failed as a whole, the code that says why.
        """
        attempt, faults = 0, 0
        while True:
            error: ServiceError | None = None
            try:
                async for line in self._lines(job_id, offset):
                    yield _result(line)
                    offset += 1
                    attempt, faults = 0, 0
            except httpx.ReadTimeout:
                attempt = -1  # nothing for a while, as of a job that others' work goes before
            except httpx.RequestError as exc:
                error = unreachable(exc)
            except (ServiceUnreachable, ServiceFault) as exc:
                error, faults = exc, faults + isinstance(exc, ServiceFault)
                if faults > 1:
                    raise
            if error is None:
                response = await self._send("GET", f"/v1/jobs/{job_id}", self._patience)
                if _is_complete(parsed(response, JobView), offset):
                    return
                error = ServiceUnreachable("the service ended the results prematurely")
            await self._wait(self._patience, max(attempt, 0), error)
            attempt += 1

    async def _lines(self, job_id: str, offset: int) -> AsyncIterator[bytes]:
        """Lines of one answer. Not httpx's own: those end at more than line feeds."""
        path, params = f"/v1/jobs/{job_id}/results", {"follow": "true", "offset": str(offset)}
        timeout = httpx.Timeout(_LOOKUP_S, connect=_CONNECT_S, read=_IDLE_S)
        async with self._http.stream("GET", path, params=params, timeout=timeout) as response:
            if not response.is_success:
                await response.aread()
                raise refusal_of(response)
            rest = b""
            async for part in response.aiter_bytes():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield line

    async def _send(self, method: str, path: str, retry: RetryPolicy) -> httpx.Response:
        request = self._http.build_request(method, path)
        response, _ = await exchange(self._http, request, retry)
        return response

    async def _wait(self, retry: RetryPolicy, attempt: int, error: ServiceError) -> None:
        """Waits before the next attempt.

        Raises:
            ServiceError: There is none.
        """
        if not error.retryable or attempt >= retry.retries:
            raise error
        await retry.sleep(retry.delay_s(attempt))


def _is_complete(job: JobView, offset: int) -> bool:
    """Whether there are no more results to come.

    Raises:
        ServiceRefused: The job failed.
    """
    if job.error is not None:
        raise ServiceRefused(f"job {job.id} failed: {job.error.message}", job.error.code)
    return offset >= job.items


def _media_type(source: JobSource) -> str:
    return _PARQUET if isinstance(source, Path) and source.suffix == ".parquet" else _LINES


async def _parts(source: JobSource) -> AsyncIterator[bytes]:
    """The body, in parts, from the beginning."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            while part := await asyncio.to_thread(file.read, _PART_BYTES):
                yield part
        return
    for part in _item_parts(source):
        yield part


def _item_parts(items: Sequence[ScoreItem]) -> Iterator[bytes]:
    for start in range(0, len(items), _ITEMS_A_PART):
        part = items[start : start + _ITEMS_A_PART]
        yield b"".join(item.model_dump_json(exclude_none=True).encode() + b"\n" for item in part)


def _result(line: bytes) -> JobResult:
    try:
        return JobResult.model_validate_json(line, extra="ignore")
    except ValidationError as exc:
        raise ServiceRefused(
            "the service returned a line that is not a result", "bad_answer"
        ) from exc
