"""``/ui``: the page's own files, which need no key and contain none of the served data."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from reward_server.http.content import takes_gzip
from reward_server.http.problems import respond
from shared.wire.problems import Problem

__all__ = ["POLICY", "router"]

router = APIRouter()

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from other origins, and no scripts or styles inside the document."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
_START = "index.html"


@dataclass(frozen=True)
class _Asset:
    """A file of the page."""

    content: bytes
    packed: bytes
    media_type: str
    etag: str


@cache
def _assets() -> dict[str, _Asset]:
    """All files by name, read and compressed once."""
    found = {}
    for file in (files("reward_server.page") / "static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = file.read_bytes()
            packed = gzip.compress(content, 9, mtime=0)
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[file.name] = _Asset(content, packed, _TYPES[suffix], etag)
    return found


@router.get("/", include_in_schema=False)
async def root(request: Request) -> Response:
    """Redirects browsers to the page; for programs, there is still nothing here."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("ui/", headers={"Vary": "Accept"})
    return _nothing("/")


@router.get("/ui", include_in_schema=False)
async def without_slash() -> Response:
    """Redirects to the folder, so that the page's relative links work."""
    return RedirectResponse("ui/")


@router.get("/ui/", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page itself."""
    return _sent(request, _START)


@router.get("/ui/{name}", include_in_schema=False)
async def asset(request: Request, name: str) -> Response:
    """One of its files."""
    return _sent(request, name) if name in _assets() else _nothing(request.url.path)


def _sent(request: Request, name: str) -> Response:
    found = _assets()[name]
    headers = _HEADERS | {"ETag": found.etag}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not takes_gzip(request):
        return Response(found.content, media_type=found.media_type, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(found.packed, media_type=found.media_type, headers=headers)


def _nothing(path: str) -> Response:
    return respond(
        Problem(
            title="Not found",
            status=404,
            detail=f"there is nothing at {path}",
            code="not_found",
            retryable=False,
        )
    )
