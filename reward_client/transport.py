"""One exchange with the reward service, with retries.

Maps all httpx errors and problem documents to the project's own errors. :mod:`reward_client.client`
builds requests and merges responses; :mod:`reward_client.addresses` handles addresses.
"""

import asyncio
import ssl
import uuid
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from reward_client.addresses import proxy_of, without_secrets
from reward_client.retries import RetryPolicy, parse_retry_after
from shared.errors import (
    BodyTooLarge,
    ServiceError,
    ServiceFault,
    ServiceRefused,
    ServiceUnreachable,
)
from shared.model import WireModel
from shared.wire.problems import Problem

__all__ = ["AnyMessage", "exchange", "parsed", "refusal_of", "unreachable"]

AnyMessage = TypeVar("AnyMessage", bound=WireModel)

_BUSY = (408, 429, 502, 503, 504)
"""Status codes that mean "retry later", also from a proxy while the service restarts."""

_FINAL_FAULTS = (501, 505, 511)
"""Server errors that a retry cannot resolve."""

_FAULTS_FORGIVEN = 1


async def exchange(
    http: httpx.AsyncClient,
    request: httpx.Request,
    retry: RetryPolicy,
    first_attempt: int = 0,
    deadline: float | None = None,
) -> tuple[httpx.Response, int]:
    """Sends a request until it succeeds or retrying is pointless. Only for idempotent requests.

    Args:
        http: The HTTP client.
        request: The request, with its body in memory. The complete response must arrive within its
            connect and read timeouts together.
        retry: Number of retries and delays.
        first_attempt: Number of retries already used.
        deadline: Time after which it is not retried; None starts counting now.

    Returns:
        A 2xx response, and the number of retries used so far.

    Raises:
        ServiceUnreachable: There was no response in time, or only "retry later".
        ServiceRefused: Any other response; a 500 only after one retry.
    """
    attempt, faults = first_attempt, 0
    request.headers.setdefault("X-Request-ID", uuid.uuid4().hex)  # the same for all retries
    deadline = retry.deadline() if deadline is None else deadline
    while True:
        error, retry_after_s = await _send_once(http, request)
        if isinstance(error, httpx.Response):
            return error, attempt
        faults += isinstance(error, ServiceFault)
        if not error.retryable or faults > _FAULTS_FORGIVEN:
            raise error
        if not await retry.waited(attempt, deadline, retry_after_s):
            raise error
        attempt += 1


def parsed(response: httpx.Response, kind: type[AnyMessage]) -> AnyMessage:
    """The message in a response; unknown fields from later versions are ignored.

    Raises:
        ServiceRefused: ``bad_answer``: the response is something else.
    """
    try:
        return kind.model_validate_json(response.content, extra="ignore")
    except ValidationError as exc:
        raise ServiceRefused(
            f"{response.request.url} returned something other than a {kind.__name__}; is this a "
            "Greenfork reward service of this version?",
            "bad_answer",
        ) from exc


async def _send_once(
    http: httpx.AsyncClient, request: httpx.Request
) -> tuple[httpx.Response | ServiceError, float | None]:
    patience_s = _patience_s(request)
    try:
        # httpx's own timeouts restart with every byte.
        async with asyncio.timeout(patience_s):
            response = await http.send(request)
    except TimeoutError as exc:
        slow = ServiceUnreachable(
            f"{request.url} did not answer within {patience_s:g} s{_named(request)}"
            f"{_by_way_of(request)}"
        )
        slow.__cause__ = exc
        return slow, None
    except httpx.RequestError as exc:
        return unreachable(exc), None
    if response.is_success:
        return response, None
    return refusal_of(response), parse_retry_after(response.headers.get("retry-after"))


def _patience_s(request: httpx.Request) -> float | None:
    """Maximum total duration of a response, seconds; None sets no limit."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
    connect_s, read_s = timeouts.get("connect"), timeouts.get("read")
    return None if connect_s is None or read_s is None else connect_s + read_s


def unreachable(error: httpx.RequestError) -> ServiceError:
    """The error for a request without a response; certificate errors are not retryable."""
    request = error.request
    where = without_secrets(str(request.url))
    said = _without_key(str(error) or type(error).__name__, request)
    found: ServiceError
    if (tls := _tls_error(error)) is not None:
        found = ServiceRefused(f"{where}: {_tls_cure(tls, said)}", "tls_failed")
    else:
        found = ServiceUnreachable(f"{where} does not answer: {said}{_by_way_of(request)}")
    found.__cause__ = error
    return found


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS failure behind an error; an aborted or slow handshake does not count."""
    while error is not None and type(error) not in (ssl.SSLError, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error if isinstance(error, ssl.SSLError) else None


def _tls_cure(error: ssl.SSLError, said: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or said
        if "mismatch" in reason or "not valid for" in reason:
            return f"its certificate is for another name ({reason}); use that name in the URL"
        return (
            f"its certificate is not trusted ({reason}); set SSL_CERT_FILE to a PEM file with "
            "that certificate or its issuing authority"
        )
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS; use http:// instead of https://"
    return f"the TLS connection failed: {said}"


def refusal_of(response: httpx.Response) -> ServiceError:
    """The error for a response that is not a success."""
    problem, request, status = _problem(response), response.request, response.status_code
    where = f"{without_secrets(str(request.url))} answered {status}"
    if response.is_server_error:
        where += _named(request)
    detail = _without_key(problem.detail if problem else _first_line(response), request)
    message = f"{where}: {detail}" if detail else where
    code = problem.code if problem else None
    if not problem:
        message += _by_way_of(request)
    if status in _BUSY:
        return ServiceUnreachable(message, code)
    if status == BodyTooLarge.http_status and not problem:
        message += (
            "; a proxy in front of the service rejects requests of "
            f"{request.headers.get('content-length', 'that many')} bytes: raise its limit (nginx: "
            "client_max_body_size)"
        )
        return ServiceRefused(message, BodyTooLarge.code)
    if response.is_redirect:
        return ServiceRefused(f"{where}: {_elsewhere(response)}", code or "redirected")
    if response.is_server_error and status not in _FINAL_FAULTS:
        return ServiceFault(message, code)
    return ServiceRefused(message, code)


def _elsewhere(response: httpx.Response) -> str:
    """What to do about a redirect, which is not followed because it could leak the key."""
    target = without_secrets(response.headers.get("location", ""))
    asked = response.request.url.path.rstrip("/")
    base = target.rstrip("/").removesuffix("/" + asked.rpartition("/v1/")[2]).removesuffix("/v1")
    if "://" not in target:
        return f"it redirects to {target!r}; redirects are not followed; use the final URL"
    if base == target.rstrip("/"):
        return f"it redirects to {target}; is this the reward service, or a login page?"
    return f"it redirects to {target}; redirects are not followed: set the reward URL to {base}"


def _by_way_of(request: httpx.Request) -> str:
    """Mentions the proxy, if any, because the response may come from it."""
    proxy = proxy_of(request.url)
    if proxy is None:
        return ""
    shown = without_secrets(proxy)
    return f" (through the proxy {shown}; NO_PROXY={request.url.host} bypasses it)"


def _without_key(text: str, request: httpx.Request) -> str:
    """Foreign text with our API key removed."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return text.replace(key, "…") if key else text


def _named(request: httpx.Request) -> str:
    """The request id, as it appears in the service's log."""
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
