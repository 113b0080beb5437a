"""Authenticates every request before its body is read or a route is entered.

What a key is and who holds it is :mod:`reward_server.auth.authenticator`.
"""

import base64
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from reward_server.auth.authenticator import ApiKeyAuthenticator
from reward_server.auth.callers import ANYONE, Scope, caller_of
from reward_server.auth.origins import Origins
from reward_server.http.problems import respond_error
from shared.errors import Forbidden, GreenforkError, InvalidRequest

__all__ = ["BEARER", "OPEN_PATHS", "AuthMiddleware", "check_scope", "requires"]

_PROBES = frozenset({"/healthz", "/readyz"})
OPEN_PATHS = _PROBES | {"/metrics", "/docs", "/openapi.json", "/", "/ui", "/openenv/health"}
"""What needs no key: orchestrators, Prometheus and the pages that explain the service. They tell
what the service is and how much it does, and nothing of what it was asked."""

_OPEN_FOLDER = "/ui"
"""The page's own files. It asks for a key itself, and sends it with every call of the API."""

_MAX_PARAMETERS = 100
"""Each that is wrong takes time, and more than these nothing here has."""

BEARER = HTTPBearer(
    scheme_name="ApiKey",
    auto_error=False,
    description="An API key, `gfk_…`. Required if the service has keys; each key has scopes.",
)


class AuthMiddleware:
    """ASGI middleware that answers 401 before anything of a request but its head was read.

    Whoever comes in stands in the scope, for :func:`reward_server.auth.callers.caller_of`.
    """

    def __init__(self, app: ASGIApp, authenticator: ApiKeyAuthenticator, origins: Origins) -> None:
        self._app = app
        self._authenticator = authenticator
        self._origins = origins

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Hands a request on, or refuses it."""
        if scope["type"] in ("http", "websocket"):
            try:
                if scope["type"] == "websocket":
                    self._origins.check_page(Headers(scope=scope))
                await self._admit(scope)
            except GreenforkError as exc:
                await respond_error(exc)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Connection) -> None:
        """Finds out who calls, and refuses what strange websites send where no key is needed.

        Raises:
            Unauthorized: A key is needed.
            LedgerError: The key cannot be looked up.
            Forbidden: ``host_not_allowed``, ``origin_not_allowed``.
            InvalidRequest: ``too_many_parameters``.
        """
        path = scope["path"]
        if path in _PROBES:
            return
        folder, _, name = path.rpartition("/")
        is_file = folder == _OPEN_FOLDER and ".." not in name
        is_read = scope.get("method") in ("GET", "HEAD")
        is_page = is_read and (path in ("/", "/ui") or is_file)
        is_open = is_page or (is_read and path in OPEN_PATHS)
        caller = ANYONE if is_open else await self._authenticator.admit(_token(scope))
        if not is_open:
            scope["greenfork.caller"] = caller
        if caller is ANYONE and not is_page:  # links to the page may stand anywhere
            self._origins.check(Headers(scope=scope))
        if scope["query_string"].count(b"&") >= _MAX_PARAMETERS:
            raise InvalidRequest(
                f"the URL has more than {_MAX_PARAMETERS} parameters", "too_many_parameters"
            )


def requires(*needed: Scope) -> Any:  # noqa: ANN401  what FastAPI's own Depends() is typed as
    """The dependency of a route, or a router, for which a caller's key must have a scope.

    Args:
        needed: One of these will do.

    Raises (when a request is answered):
        Forbidden: The key has not.
    """

    async def check(
        request: Request,
        _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    ) -> None:
        check_scope(request, *needed)

    return Depends(check)


def check_scope(request: HTTPConnection, *needed: Scope) -> None:
    """Returns if the caller's key has one of the scopes.

    Raises:
        Forbidden: It has not.
    """
    caller = caller_of(request)
    if caller.scopes.isdisjoint(needed):
        has = " and ".join(sorted(caller.scopes))
        raise Forbidden(
            f"the key of {caller.name} has the scope {has}, but lacks the required scope "
            f"{' or '.join(needed)}"
        )


def _token(scope: Connection) -> str | None:
    """The bearer token, or the password of a caller whose program knows URLs only.

    The scheme's case does not matter (RFC 9110, 11.1). ``http://x:KEY@host`` is sent by most HTTP
    libraries as basic authentication (RFC 7617).
    """
    given = Headers(scope=scope).getlist("authorization")
    if len(given) != 1:  # several: nobody knows which of them others have looked at
        return None
    scheme, _, token = given[0].strip().partition(" ")
    if scheme.lower() == "basic":
        return _password(token.strip())
    return token.strip() if scheme.lower() == "bearer" and token else None


def _password(credentials: str) -> str | None:
    try:
        _, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password or None
