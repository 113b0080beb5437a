"""A caller's connection: limits on the size and duration of request heads, and how it ends.

uvicorn speaks HTTP, but it accepts heads of any size, waits for them for ever, and goes on reading
what a caller sends after the answer. This module sets the bounds. Bodies are bounded in
``body_limit``. A connection that becomes a WebSocket is still counted; pings end those of callers
that are gone.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from reward_server.http.addresses import Addresses, address_of
from reward_server.scoring.admission import Shares
from shared.errors import Overloaded
from shared.wire.problems import PROBLEM_MEDIA_TYPE, Problem

__all__ = [
    "MAX_FRAME_BYTES",
    "WEB_SOCKETS",
    "CallerConnection",
    "CallerWebSocket",
    "Lines",
    "connections_of",
    "set_tcp_user_timeout",
]

_SLICE_BYTES = 16 * 1024
"""Input is parsed in slices: a single read could bring more heads than are allowed at once."""
_MAX_HEADERS = 256
_MAX_WAITING_REQUESTS = 16
"""Requests that a caller may send ahead, before earlier ones are answered."""
_MAX_HEAD_BYTES = 64 * 1024
"""Also bounds what is not content in a chunked body: chunk lengths and trailers."""
_LINGER_S = 2.0
"""How long a caller's remaining input is still read after the answer. Otherwise the close of the
connection could reach the caller before the answer does (RFC 9112, 9.6)."""

MAX_FRAME_BYTES = 2**20
"""Of what a WebSocket's client sends at a time."""

_HEAD_TOO_LARGE = Problem(
    title="Head too large",
    status=431,
    detail=f"the request's headers and framing have more than {_MAX_HEAD_BYTES} bytes, or more "
    f"than {_MAX_HEADERS} lines",
    code="head_too_large",
    retryable=False,
)
_NO_LINE_FREE = Problem.of(
    Overloaded("too many connections, in total or from your address; close some")
)


class Lines:
    """Counts open connections, in total and per address.

    Args:
        limit: Maximum number of connections.
        addresses: Knows the proxies, whose connections carry many callers.
    """

    def __init__(self, limit: int, addresses: Addresses | None = None) -> None:
        self._shares = Shares(limit)
        self._addresses = addresses or Addresses()

    def take(self, transport: asyncio.Transport) -> tuple[str, ...] | None:
        """Counts one more; returns what to hand back, or None if there is no room."""
        peer = transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) and peer else ""
        owners = () if self._addresses.is_proxy(host) else (address_of(host),)
        if self._shares.excess(owners, 1):
            return None
        self._shares.move(owners, 1)
        return owners

    def hand_back(self, owners: tuple[str, ...]) -> None:
        """Counts one less."""
        self._shares.move(owners, -1)


class CallerWebSocket(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket."""

    on_lost: Callable[[], None] | None = None
    """Called once when it has ended."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Says so."""
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()


WEB_SOCKETS: dict[str, Any] = {
    "ws": CallerWebSocket,
    "ws_max_size": MAX_FRAME_BYTES,
    "ws_per_message_deflate": False,  # a few bytes could become many
}
"""How uvicorn is to serve them."""


class CallerConnection(HttpToolsProtocol):
    """A connection that is closed when its request head is too slow or too large."""

    patience_s: float
    """Seconds that the head of a request may take, and that output may wait to be read."""
    min_bytes_per_s: float
    """Minimum rate at which answers must be read after that."""
    lines: Lines | None = None

    _owners: tuple[str, ...] | None = None
    _overhead_bytes = 0
    _slice_bytes = 0
    _header_lines = 0
    _is_refused = False
    _is_upgraded = False
    _hanging_up: asyncio.TimerHandle | None = None
    _giving_up: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Begins to wait for a head; hangs up if there are too many connections."""
        super().connection_made(transport)
        if self.lines is not None:
            self._owners = self.lines.take(transport)
            if self._owners is None:
                self._say(_NO_LINE_FREE, "Service Unavailable", "retry-after: 5\r\n")
                transport.close()
                return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request being answered; uvicorn itself tells the one that arrived last."""
        self._stop_waiting()
        self._stop_hanging_up()
        if self._owners is not None and self.lines is not None:
            self.lines.hand_back(self._owners)
            self._owners = None
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes input, and ends the connection if too much of it is not content."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self.transport.is_closing() or self._is_upgraded:
                return  # frames that come before the answer to the handshake are nobody's
            self._take(data[start : start + _SLICE_BYTES])

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over, and what it is counted as."""
        self._is_upgraded = True
        self._stop_waiting()
        self._stop_hanging_up()
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        if self._owners is not None and self.lines is not None:
            assert isinstance(protocol, CallerWebSocket), "the gateway is served so"  # noqa: S101
            protocol.on_lost = partial(self.lines.hand_back, self._owners)
            self._owners = None

    def _should_upgrade_to_ws(self) -> bool:
        return not self._is_refused and super()._should_upgrade_to_ws()

    def _take(self, data: bytes) -> None:
        self._slice_bytes = len(data)
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_upgraded:
            return
        if self._is_refused or self._is_too_long() or len(self.pipeline) > _MAX_WAITING_REQUESTS:
            self._refuse()
        elif self._giving_up is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        """Starts counting a head; what precedes it in the same slice is counted as well."""
        super().on_message_begin()
        self._overhead_bytes = self._slice_bytes
        self._header_lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more line."""
        self._header_lines += 1
        super().on_header(name, value)

    def pause_writing(self) -> None:
        """The caller is not reading its answer; starts the time limit for that."""
        super().pause_writing()
        waiting_bytes = self.transport.get_write_buffer_size()
        allowed_s = self.patience_s + waiting_bytes / self.min_bytes_per_s
        self._hanging_up = self.loop.call_later(allowed_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller has read enough of its answer."""
        self._stop_hanging_up()
        super().resume_writing()

    def on_headers_complete(self) -> None:
        """The head is complete; if it is too long, the application does not see it."""
        self._stop_waiting()
        self._is_refused = self._is_refused or self._is_too_long()
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Content is not counted, and allows as much overhead around it."""
        self._overhead_bytes -= 2 * len(body)
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if not self._is_refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Ends the connection if the answer was sent before the request ended."""
        running = self._running
        super().on_response_complete()
        if running is not None and running.more_body and not self.transport.is_closing():
            self._stop_waiting()
            self._giving_up = self.loop.call_later(_LINGER_S, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # the same thing under two names
        self._running = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _is_too_long(self) -> bool:
        return self._overhead_bytes > _MAX_HEAD_BYTES or self._header_lines > _MAX_HEADERS

    def _await_head(self) -> None:
        self._giving_up = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _stop_hanging_up(self) -> None:
        if self._hanging_up is not None:
            self._hanging_up.cancel()
            self._hanging_up = None

    def _refuse(self) -> None:
        """Answers with an error, unless another answer is under way, and ends the connection."""
        if self._running is None or self._running.response_complete:
            self._say(_HEAD_TOO_LARGE, "Request Header Fields Too Large")
        self.transport.close()

    def _say(self, problem: Problem, words: str, headers: str = "") -> None:
        body = problem.model_dump_json()
        self.transport.write(
            f"HTTP/1.1 {problem.status} {words}\r\n{headers}"
            f"content-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"connection: close\r\n\r\n{body}".encode()
        )


def connections_of(
    patience_s: float, min_bytes_per_s: float = 1000.0, lines: Lines | None = None
) -> type[CallerConnection]:
    """Connections of callers.

    Args:
        patience_s: Seconds that callers have for the head of a request.
        min_bytes_per_s: Minimum rate at which they must read answers after as many seconds.
        lines: Counts the connections; None allows any number.
    """
    settings = {"patience_s": patience_s, "min_bytes_per_s": min_bytes_per_s, "lines": lines}
    return type("CallerConnection", (CallerConnection,), settings)


def set_tcp_user_timeout(listener: socket.socket, patience_s: float) -> None:
    """Has the kernel end connections whose callers read nothing of what they are sent.

    Otherwise the answers to callers that do not read, or no longer exist, would stay in memory.

    Args:
        listener: The listening socket; its connections inherit the option.
        patience_s: Seconds without any progress.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux (RFC 5482)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int(patience_s * 1000))
