"""Bulk jobs: files of decisions that are sent once and scored in the background.

Everything here survives a lost connection and a restart of the service: a job is submitted with an
idempotency key, and results continue where they were interrupted.
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
from shared.wire.scoring import Item

__all__ = ["JobClient", "JobSource"]

JobSource = Path | Sequence[Item]
"""Items, or a file of them: one JSON object per line, or Parquet (``.parquet``)."""

_LINES = "application/x-ndjson"
_PARQUET = "application/vnd.apache.parquet"
_PART_BYTES = 2**20
_ITEMS_A_PART = 1000
_CONNECT_S = 5.0
_LOOKUP_S = 30.0
_STORING_S = 900.0
"""Time limit for the service to read a file before it answers."""
_IDLE_S = 60.0
"""Reconnects after this time without a result, in case the connection is dead."""
_PATIENT = RetryPolicy(retries=60)
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class JobClient:
    """Submits, follows, reads and deletes the caller's jobs. For one event loop.

    Args:
        url: URL of the service, such as ``http://127.0.0.1:8000``.
        api_key: Sent as a bearer token; None if the service needs no key.
        retry: When to retry single requests.
        patience: When to continue interrupted work, for example while the service restarts.
        transport: Replaces the network, for tests.

    Raises:
        ConfigError: The URL is invalid.
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
        """Submits a job; the service accepts all of it or nothing.

        Args:
            source: What to score.
            spec: The reward for all items; by default ``queue_gain`` over 60 s.
            key: Idempotency key: the same key with the same content is the same job, even after a
                crash; None generates one.

        Raises:
            InputError: The file cannot be read.
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: An item is invalid, or the key was used for another job; see ``code``.
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
            is_known = (
                error.code == Overloaded.code
            )  # the service is running, and will accept it soon
            await self._wait(self._patience if is_known else self._retry, attempt, error)
            attempt += 1

    async def job(self, job_id: str) -> JobView:
        """The current state of a job.

        Raises:
            ServiceUnreachable: The service does not answer.
            ServiceRefused: ``unknown_job``.
        """
        return parsed(await self._send("GET", f"/v1/jobs/{job_id}", self._retry), JobView)

    async def jobs(self, limit: int = 100, offset: int = 0) -> JobPage:
        """A page of the caller's jobs, newest first."""
        path = f"/v1/jobs?limit={limit}&offset={offset}"
        return parsed(await self._send("GET", path, self._retry), JobPage)

    async def delete(self, job_id: str) -> None:
        """Cancels a job if it is running, and deletes it with its results.

        Raises:
            ServiceUnreachable: The service does not answer.
            ServiceRefused: ``unknown_job``.
        """
        await self._send("DELETE", f"/v1/jobs/{job_id}", self._retry)

    async def follow(self, job_id: str, every_s: float = 0.5) -> AsyncIterator[JobView]:
        """Yields the job whenever it has changed, until it is finished.

        Args:
            job_id: The job.
            every_s: Seconds between requests.
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
        """Waits until a job is finished, successfully or not."""
        async for view in self.follow(job_id):
            last = view
        return last

    async def results(self, job_id: str, offset: int = 0) -> AsyncIterator[JobResult]:
        """Yields all results in the order of the items, as they become available.

        Args:
            job_id: The job.
            offset: Number of results to skip.

        Raises:
            ServiceUnreachable: The service does not answer any more.
            ServiceRefused: ``unknown_job``, also if the job was deleted in the meantime; or the
                code that says why the whole job failed.
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
                attempt = -1  # no result for a while: other work may have precedence
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
        """The lines of a response. httpx's own ``aiter_lines`` splits at more than line feeds."""
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
            ServiceError: No attempt is left.
        """
        if not error.retryable or attempt >= retry.retries:
            raise error
        await retry.sleep(retry.delay_s(attempt))


def _is_complete(job: JobView, offset: int) -> bool:
    """Whether all results have been read.

    Raises:
        ServiceRefused: The job failed.
    """
    if job.error is not None:
        raise ServiceRefused(f"job {job.id} failed: {job.error.message}", job.error.code)
    return offset >= job.items


def _media_type(source: JobSource) -> str:
    return _PARQUET if isinstance(source, Path) and source.suffix == ".parquet" else _LINES


async def _parts(source: JobSource) -> AsyncIterator[bytes]:
    """The body in parts."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            while part := await asyncio.to_thread(file.read, _PART_BYTES):
                yield part
        return
    for part in _item_parts(source):
        yield part


def _item_parts(items: Sequence[Item]) -> Iterator[bytes]:
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
