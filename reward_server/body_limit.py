"""The limits on requests' bodies: how large one may be, all of them together, and how slow."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import BodyTooLarge, BodyTooSlow, Overloaded

__all__ = ["BodyLimit", "BodyLimits"]

_RETRY_AFTER_S = (1, 4)


@dataclass(frozen=True)
class BodyLimits:
    """What callers may send."""

    max_bytes: int
    """Of one body, where nothing else is said of its path."""
    max_pending_bytes: int
    """Of all bodies that are held in memory at a time."""
    timeout_s: float
    """For how long a caller may send nothing of a body that is not complete."""
    streamed: Mapping[str, int] = field(default_factory=dict)
    """By path, the limits of bodies that go to disk as they come and are not held in memory."""


class BodyLimit:
    """ASGI middleware that counts bodies as they come, and not only as they are declared.

    What is wrong is raised where the application reads, and becomes a problem document like any
    other error. (Starlette's own limit answers a body that declares its length in plain text.)
    """

    def __init__(
        self, app: ASGIApp, limits: BodyLimits, rand: Callable[[int, int], int] = random.randint
    ) -> None:
        self._app = app
        self._limits = limits
        self._rand = rand
        self._pending_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._limits)

        async def counted() -> Message:
            message = await body.receive()
            self._check_budget(body)
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._pending_bytes -= body.held_bytes

    def _check_budget(self, body: "_Body") -> None:
        new_bytes = body.unheld_bytes
        if not new_bytes:
            return
        if self._pending_bytes + new_bytes > self._limits.max_pending_bytes:
            raise Overloaded(
                "the bodies of the requests under way take all the memory there is for them; "
                "ask again later",
                None,
                self._rand(*_RETRY_AFTER_S),
            )
        self._pending_bytes += new_bytes
        body.held_bytes += new_bytes


class _Body:
    """One body as it comes."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        self._receive = receive
        self._timeout_s = limits.timeout_s
        streamed = limits.streamed.get(scope["path"])
        self._is_streamed = streamed is not None
        self._max_bytes = limits.max_bytes if streamed is None else streamed
        declared = Headers(scope=scope).get("content-length", "")
        self._declared_bytes = int(declared) if declared.isdecimal() else 0
        self._received_bytes = 0
        self._is_complete = False
        self.held_bytes = 0

    @property
    def unheld_bytes(self) -> int:
        """What came and is not counted as held in memory yet."""
        return 0 if self._is_streamed else self._received_bytes - self.held_bytes

    async def receive(self) -> Message:
        """The next part; once the body is complete, whatever the server says.

        Raises:
            BodyTooLarge: There is more than there may be, or more is announced.
            BodyTooSlow: Nothing came for too long.
        """
        if self._is_complete:
            return await self._receive()
        self._check(self._declared_bytes)
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self._receive()
        except TimeoutError as exc:
            raise BodyTooSlow(f"nothing of the body came for {self._timeout_s:g} s") from exc
        self._received_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        self._check(self._received_bytes)
        return message

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLarge(f"the body is larger than {self._max_bytes} bytes")
