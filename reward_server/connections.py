"""One caller's connection: how long a request's head may be and take, and how it ends.

HTTP is uvicorn's. It takes heads of any size, waits for them for ever, and goes on reading what a
caller sends after the answer; here is what bounds that. Bodies are bounded in ``body_limit``.
"""

import asyncio
import socket

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.problems import PROBLEM_MEDIA_TYPE, Problem

__all__ = ["CallerConnection", "connections_of", "give_up_deaf_callers"]

_MAX_HEAD_BYTES = 64 * 1024
"""Also of all that is no content in a body in chunks: their lengths, the trailers."""
_LINGER_S = 2.0
"""For how long what a caller still sends is taken after the answer. Without that, the end of the
connection could reach the caller before the answer does (RFC 9112, 9.6)."""

_HEAD_TOO_LARGE = Problem(
    title="Head too large",
    status=431,
    detail=f"what is no content of the request has more than {_MAX_HEAD_BYTES} bytes",
    code="head_too_large",
    retryable=False,
)


class CallerConnection(HttpToolsProtocol):
    """A connection that ends when its caller says nothing of a request, or too much."""

    patience_s: float
    """Seconds for which the head of a request may take."""

    _overhead_bytes = 0
    _giving_up: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Begins to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request that is being answered; uvicorn tells the last one that came."""
        self._stop_waiting()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes what comes, and ends the connection when there is too much that is no content."""
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._overhead_bytes > _MAX_HEAD_BYTES:
            self._refuse()
        elif self._giving_up is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        """Counts from here on."""
        super().on_message_begin()
        self._overhead_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Content is not counted, and allows for as much around it."""
        self._overhead_bytes -= 2 * len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Ends the connection, if the answer came before the end of the request."""
        running = self._running
        super().on_response_complete()
        if running is not None and running.more_body and not self.transport.is_closing():
            self._stop_waiting()
            self._giving_up = self.loop.call_later(_LINGER_S, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # the same thing under two names
        self._running = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _await_head(self) -> None:
        self._giving_up = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _refuse(self) -> None:
        """Answers, where nothing else is being answered, and ends the connection."""
        if self._running is None or self._running.response_complete:
            body = _HEAD_TOO_LARGE.model_dump_json()
            self.transport.write(
                f"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                f"content-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
                f"connection: close\r\n\r\n{body}".encode()
            )
        self.transport.close()


def connections_of(patience_s: float) -> type[CallerConnection]:
    """Connections whose callers have so many seconds for the head of a request."""
    return type("CallerConnection", (CallerConnection,), {"patience_s": patience_s})


def give_up_deaf_callers(listener: socket.socket, patience_s: float) -> None:
    """Has the kernel end connections whose callers take nothing of what they are sent.

    Otherwise the answers to callers that do not read, or are no more, stay in memory.

    Args:
        listener: Its connections inherit it.
        patience_s: Seconds without any progress.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux (RFC 5482)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int(patience_s * 1000))
