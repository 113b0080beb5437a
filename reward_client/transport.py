"""One exchange with the reward service, retried while that can help.

Maps everything httpx can raise and every problem document to the project's own errors. What is
sent and how answers are put together is :mod:`reward_client.client`.
"""

import asyncio
import uuid
from typing import Any

import httpx
from pydantic import ValidationError

from reward_client.retries import RetryPolicy, parse_retry_after
from shared.errors import ConfigError, ServiceError, ServiceRefused, ServiceUnreachable
from shared.problems import Problem

__all__ = ["check_url", "exchange", "refusal_of"]

_BUSY = (408, 429, 502, 503, 504)
"""Answers that mean "later", whatever body they carry: a proxy's whose service restarts, too."""


def check_url(url: str) -> str:
    """The reward URL without a trailing slash.

    Raises:
        ConfigError: It is no absolute http or https URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigError(f"{url!r} is not a URL: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"{url!r} is not a reward URL; it looks like http://127.0.0.1:8000")
    return url.rstrip("/")


async def exchange(
    http: httpx.AsyncClient,
    request: httpx.Request,
    retry: RetryPolicy,
    first_attempt: int = 0,
    deadline: float | None = None,
) -> tuple[httpx.Response, int]:
    """Sends until there is an answer worth having. Only for what may be sent twice.

    Args:
        http: Where to send.
        request: What to send; its body must be in memory. An answer that is not complete within its
            connect and read timeouts together does not count.
        retry: How often, and how long to wait between.
        first_attempt: Retries that were already used up.
        deadline: After which it is not sent again; None begins to count now.

    Returns:
        A 2xx response, and the retries used up so far.

    Raises:
        ServiceUnreachable: Nothing answered in time, or only "later".
        ServiceRefused: Any other answer.
    """
    attempt = first_attempt
    request.headers.setdefault("X-Request-ID", uuid.uuid4().hex)  # the same however often it goes
    deadline = retry.deadline() if deadline is None else deadline
    while True:
        error, retry_after_s = await _send_once(http, request)
        if isinstance(error, httpx.Response):
            return error, attempt
        if not error.retryable or not await retry.waited(attempt, deadline, retry_after_s):
            raise error
        attempt += 1


async def _send_once(
    http: httpx.AsyncClient, request: httpx.Request
) -> tuple[httpx.Response | ServiceError, float | None]:
    patience_s = _patience_s(request)
    try:
        # httpx's own timeouts begin anew with every byte.
        async with asyncio.timeout(patience_s):
            response = await http.send(request)
    except TimeoutError as exc:
        slow = ServiceUnreachable(
            f"{request.url} did not answer within {patience_s:g} s{_named(request)}"
        )
        slow.__cause__ = exc
        return slow, None
    except httpx.RequestError as exc:
        said = str(exc) or type(exc).__name__
        unreachable = ServiceUnreachable(f"{request.url} does not answer: {said}")
        unreachable.__cause__ = exc
        return unreachable, None
    if response.is_success:
        return response, None
    return refusal_of(response), parse_retry_after(response.headers.get("retry-after"))


def _patience_s(request: httpx.Request) -> float | None:
    """Seconds that an answer may take from the beginning to the end; None for ever."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    connect_s, read_s = timeouts.get("connect"), timeouts.get("read")
    return None if connect_s is None or read_s is None else connect_s + read_s


def refusal_of(response: httpx.Response) -> ServiceError:
    """The error of an answer that is no success."""
    problem = _problem(response)
    where = f"{response.request.url} answered {response.status_code}"
    if response.is_server_error:
        where += _named(response.request)
    detail = problem.detail if problem else _first_line(response)
    message = f"{where}: {detail}" if detail else where
    if response.status_code in _BUSY:
        return ServiceUnreachable(message, problem.code if problem else None)
    return ServiceRefused(message, problem.code if problem else None)


def _named(request: httpx.Request) -> str:
    """By which the service's log knows the request."""
    request_id = request.headers.get("X-Request-ID")
    return f" (request {request_id})" if request_id else ""


def _problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return None


def _first_line(response: httpx.Response) -> str:
    text: Any = response.text.strip().splitlines()
    return text[0][:200] if text else ""
