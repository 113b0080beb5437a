"""Limits on request bodies: the size of each, the total size, and the minimum rate."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.http.addresses import Addresses
from reward_server.scoring.admission import Shares
from shared.errors import BodyTooLarge, BodyTooSlow, Overloaded

__all__ = ["BodyLimit", "BodyLimits"]

_RETRY_AFTER_S = (1, 4)
_STREAM_RETRY_AFTER_S = 5


@dataclass(frozen=True)
class BodyLimits:
    """What callers may send."""

    max_bytes: int
    """Maximum size of one body, unless ``streamed`` says otherwise for its path."""
    max_pending_bytes: int
    """Maximum size of all bodies held in memory at a time."""
    timeout_s: float
    """Seconds for which a caller may send nothing of an incomplete body."""
    min_bytes_per_s: float = 0.0
    """Minimum average rate of a body after the first ``timeout_s``; 0 for no minimum."""
    streamed: Mapping[str, int] = field(default_factory=dict)
    """By path, the limits of bodies that are written to disk as they arrive."""
    max_streamed: int = 16
    """Maximum number of streamed bodies at a time."""


class BodyLimit:
    """ASGI middleware that counts bodies as they arrive, whatever length they declare.

    Violations are raised where the application reads the body, and become problem documents like
    any other error. (Starlette's own limit answers in plain text if the length is declared.) A
    body's owner is told by its key and its address.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: BodyLimits,
        addresses: Addresses | None = None,
        rand: Callable[[int, int], int] = random.randint,
    ) -> None:
        self._app = app
        self._limits = limits
        self._addresses = addresses or Addresses()
        self._rand = rand
        self._held = Shares(limits.max_pending_bytes)
        self._streams = Shares(limits.max_streamed, factor=1.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._limits)
        owners = self._owners(scope)
        streams = 0

        async def counted() -> Message:
            nonlocal streams
            if body.is_streamed and not streams:
                self._check_streams(owners)
                streams = 1
                self._streams.move(owners, streams)
            message = await body.receive()
            self._check_budget(body, owners)
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            if body.held_bytes:
                self._held.move(owners, -body.held_bytes)
            if streams:
                self._streams.move(owners, -streams)

    def _owners(self, scope: Scope) -> tuple[str, ...]:
        caller = scope.get("greenfork.caller")
        address = f"address {self._addresses.of(scope)}"
        return (address,) if caller is None else (f"key {caller.name}", address)

    def _check_streams(self, owners: tuple[str, ...]) -> None:
        if self._streams.excess(owners, 1):
            raise Overloaded(
                f"{self._streams.total} uploads are in progress, and your limit is reached; retry "
                "later",
                None,
                _STREAM_RETRY_AFTER_S,
            )

    def _check_budget(self, body: "_Body", owners: tuple[str, ...]) -> None:
        new_bytes = body.unheld_bytes
        if not new_bytes:
            return
        if self._held.excess(owners, new_bytes, mine=body.held_bytes):
            raise Overloaded(
                "request bodies in progress use all the memory reserved for them, or your share "
                "of it; retry later",
                None,
                self._rand(*_RETRY_AFTER_S),
            )
        self._held.move(owners, new_bytes)
        body.held_bytes += new_bytes


class _Body:
    """One body as it arrives."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        self._receive = receive
        self._limits = limits
        streamed = limits.streamed.get(scope["path"]) if scope["method"] != "GET" else None
        self.is_streamed = streamed is not None
        self._max_bytes = limits.max_bytes if streamed is None else streamed
        declared = Headers(scope=scope).get("content-length", "")
        self._declared_bytes = int(declared) if declared.isdecimal() else 0
        self._received_bytes = 0
        self._is_complete = False
        self._since_s: float | None = None
        self.held_bytes = 0

    @property
    def unheld_bytes(self) -> int:
        """Bytes that have arrived and are not yet counted as held in memory."""
        return 0 if self.is_streamed else self._received_bytes - self.held_bytes

    async def receive(self) -> Message:
        """The next part; once the body is complete, whatever message the server sends.

        Raises:
            BodyTooLarge: The body is larger than allowed, or declared to be.
            BodyTooSlow: Nothing arrived for too long, or too little on average.
        """
        if self._is_complete:
            return await self._receive()
        self._check(self._declared_bytes)
        patience_s = self._patience_s()
        if patience_s <= 0:
            raise BodyTooSlow(self._too_slow())
        try:
            async with asyncio.timeout(patience_s):
                message = await self._receive()
        except TimeoutError as exc:
            raise BodyTooSlow(self._too_slow()) from exc
        self._received_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        self._check(self._received_bytes)
        return message

    def _patience_s(self) -> float:
        """Seconds to wait for the next part."""
        limits, now_s = self._limits, asyncio.get_running_loop().time()
        if self._since_s is None:
            self._since_s = now_s
        if not limits.min_bytes_per_s:
            return limits.timeout_s
        allowed_s = limits.timeout_s + self._received_bytes / limits.min_bytes_per_s
        return min(limits.timeout_s, self._since_s + allowed_s - now_s)

    def _too_slow(self) -> str:
        limits = self._limits
        if not limits.min_bytes_per_s:
            return f"no part of the body arrived for {limits.timeout_s:g} s"
        return (
            f"no part of the body arrived for {limits.timeout_s:g} s, or it averaged less than "
            f"{limits.min_bytes_per_s:g} bytes per second; send it faster or in parts"
        )

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLarge(f"the body is larger than {self._max_bytes} bytes")
