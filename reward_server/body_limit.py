"""The limit on a request's body, counted as it comes and not only as it is declared."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit"]


class BodyLimit:
    """ASGI middleware that stops reading a body once it is too large.

    Reading then raises a 413, which becomes a problem document like any other error. (Starlette's
    own limit answers a body that declares its length in plain text.)
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        is_declared_too_large = declared.isdecimal() and int(declared) > self._max_body_bytes
        received = 0

        async def counted() -> Message:
            nonlocal received
            if is_declared_too_large:
                raise HTTPException(413)
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
