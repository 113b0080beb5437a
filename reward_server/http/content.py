"""The declared type of a request's body, and the encodings that it accepts for the answer."""

import gzip

from fastapi import Request
from fastapi.responses import Response

from shared.errors import InvalidRequest

__all__ = ["JSON_WANTED", "check_is_json", "compressed", "is_json", "media_type", "takes_gzip"]

JSON_WANTED = "send the body with `Content-Type: application/json`"


def media_type(request: Request) -> str:
    """The media type in ``Content-Type``, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(request: Request) -> bool:
    """Whether the body is declared to be JSON, and not merely something that looks like it.

    Browsers send ``text/plain; x=json`` to another site's service without asking first.
    """
    return media_type(request) == "application/json"


def check_is_json(request: Request) -> None:
    """Returns if the body is declared to be JSON.

    Raises:
        InvalidRequest: ``unsupported_content_type``.
    """
    if not is_json(request):
        raise InvalidRequest(JSON_WANTED, "unsupported_content_type")


_SMALL_BYTES = 1024
_LEVEL = 5
"""Of gzip: higher ones take twice the time for a few per cent."""


def takes_gzip(request: Request) -> bool:
    """Whether whoever asks can unpack gzip; ``gzip;q=0`` says that it cannot."""
    for each in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, parameters = each.partition(";")
        if name.strip() in ("gzip", "*"):
            quality = parameters.replace(" ", "").removeprefix("q=")
            return quality.strip("0.") != "" or not quality
    return False


def compressed(request: Request, body: bytes, media_type: str = "application/json") -> Response:
    """A response, packed where the caller takes that and it is worth while."""
    headers = {"Vary": "Accept-Encoding"}
    if len(body) >= _SMALL_BYTES and takes_gzip(request):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=media_type, headers=headers)
