"""What a request says that its body is."""

from fastapi import Request

from shared.errors import InvalidRequest

__all__ = ["JSON_WANTED", "check_is_json", "is_json", "media_type"]

JSON_WANTED = "send the body with `Content-Type: application/json`"


def media_type(request: Request) -> str:
    """The media type in ``Content-Type``, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(request: Request) -> bool:
    """Whether the body is said to be JSON, and by nothing that looks like it.

    Browsers ask nobody before they send ``text/plain; x=json`` to another site's service.
    """
    return media_type(request) == "application/json"


def check_is_json(request: Request) -> None:
    """Returns if the body is said to be JSON.

    Raises:
        InvalidRequest: ``unsupported_content_type``.
    """
    if not is_json(request):
        raise InvalidRequest(JSON_WANTED, "unsupported_content_type")
