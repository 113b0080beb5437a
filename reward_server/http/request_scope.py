"""Per-request context: id, canonical log line, timing, and the last-resort error handler."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.auth.callers import Caller
from reward_server.http.problems import INTERNAL, respond
from reward_server.observability.metrics import Telemetry
from shared.errors import ClientGone
from shared.wire.scoring import Counts
from sim_workers.engine.messages import RolloutOutcome

__all__ = ["RequestNotes", "RequestScope", "body_parts", "notes_of", "while_connected"]

_Result = TypeVar("_Result")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PROBES = ("/healthz", "/readyz", "/metrics")
_LOG = structlog.get_logger("reward_server")


@dataclass
class RequestNotes:
    """Fields of a request's canonical log line."""

    request_id: str
    route: str = ""
    """The template of its path, if the framework does not provide it."""
    status: int = 0
    """Status of the answer; 0 until it has begun."""
    fields: dict[str, object] = field(default_factory=dict)
    """Fields that the route adds: counts, seconds."""

    def add_counts(
        self, counts: Counts, outcomes: Mapping[str, RolloutOutcome], scoring_s: float
    ) -> None:
        """Adds what became of the request's items, and the seconds that it took."""
        found = outcomes.values()
        self.fields.update(
            counts.model_dump(),
            ledger_hits=sum(outcome.is_recorded for outcome in found),
            joins=sum(outcome.is_joined for outcome in found),
            queued_s=round(max((outcome.waited_s for outcome in found), default=0.0), 4),
            simulated_s=round(sum(outcome.ran_s for outcome in found), 4),
            scoring_s=round(scoring_s, 4),
        )


def notes_of(request: Request) -> RequestNotes:
    """The notes on the request being answered."""
    notes: RequestNotes = request.scope["greenfork.notes"]
    return notes


async def body_parts(request: Request, what: str) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Args:
        request: The request.
        what: What is being sent, for the message.

    Raises:
        ClientGone: The caller went away before the end.
    """
    try:
        async for part in request.stream():
            if part:
                yield part
    except ClientDisconnect as exc:
        raise ClientGone(f"the caller disconnected before the whole {what} was sent") from exc


async def while_connected(request: Request, work: Coroutine[None, None, _Result]) -> _Result:
    """The result of some work, which is cancelled if the caller goes away.

    Args:
        request: The request, its body already read.
        work: The work done for it.

    Raises:
        ClientGone: The caller went away; there is nobody to answer.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the caller disconnected before the response")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class RequestScope:
    """ASGI middleware, outermost.

    A caller's ``X-Request-ID`` is kept if it is harmless, and replaced otherwise; it appears in the
    answer and in every log line written meanwhile.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._clock = clock
        self._log = _LOG.bind()  # once: to put a logger together takes longer than to write a line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; passes anything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin_s = self._clock()
        notes = RequestNotes(_request_id(scope))
        scope["greenfork.notes"] = notes
        with structlog.contextvars.bound_contextvars(request_id=notes.request_id):
            await self._answer(scope, receive, send, notes)
            self._close(scope, notes, self._clock() - begin_s)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, notes: RequestNotes
    ) -> None:
        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                notes.status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = notes.request_id
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as exc:  # noqa: BLE001  the route boundary: whatever it is, it is a 500
            self._log.error("unexpected", exc_info=exc)
            notes.fields["error"] = type(exc).__name__
            if not notes.status:
                await respond(INTERNAL)(scope, receive, noted)

    def _close(self, scope: Scope, notes: RequestNotes, duration_s: float) -> None:
        route = notes.route or getattr(scope.get("route"), "path", "unknown")
        self._telemetry.count_request(route, notes.status, duration_s)
        caller: Caller | None = scope.get("greenfork.caller")
        log = self._log.debug if scope["path"] in _PROBES and notes.status < 400 else self._log.info
        log(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=notes.status,
            duration_s=round(duration_s, 4),
            caller=caller.name if caller else None,
            **notes.fields,
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
