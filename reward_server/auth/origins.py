"""Which websites may use a service that requires no key: only those in the settings.

A browser sends requests to any address that a page names, from inside the user's network. A page
whose own name was made to resolve to this machine (DNS rebinding) may even read the answers, but
then ``Host`` is that name. Numeric addresses cannot be rebound.
"""

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from shared.errors import Forbidden
from shared.validation import ip_of

__all__ = ["Origins", "host_of"]

_WAY_OUT = "add it to GREENFORK_SERVER_ALLOWED_HOSTS, or create a key with `greenfork keys create`"


class Origins:
    """Checks where a request was sent to, and from which page.

    Args:
        names: Host names under which the service is known, and whose pages may use it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower() for name in names)

    def check(self, headers: Headers) -> None:
        """Returns if no strange website has sent the request, which has no key.

        Raises:
            Forbidden: ``host_not_allowed``, ``origin_not_allowed``.
        """
        hosts = headers.getlist("host")
        for host in hosts:
            name = host_of(f"//{host}")
            if len(hosts) > 1 or name is None or not (name in self._names or ip_of(name)):
                said = f"this service does not answer to the host name {host[:100]!r}"
                raise _refusal(said, "host_not_allowed")
        strange = self._strange_page(headers)
        if strange is not None:
            raise _refusal(f"{strange} may not use this service", "origin_not_allowed")

    def check_page(self, headers: Headers) -> None:
        """Returns if no strange website opens a WebSocket, with or without a key.

        A browser asks nobody before it does that, and lets the page read what comes.

        Raises:
            Forbidden: ``origin_not_allowed``.
        """
        strange = self._strange_page(headers)
        if strange is not None:
            raise Forbidden(
                f"{strange} may not open a WebSocket here: add the site to "
                "GREENFORK_SERVER_ALLOWED_HOSTS",
                "origin_not_allowed",
            )

    def _strange_page(self, headers: Headers) -> str | None:
        """The page that a request comes from, if it is another site's."""
        is_same = [f"http://{host}" for host in headers.getlist("host")]
        for origin in headers.getlist("origin"):
            if host_of(origin) not in self._names and origin not in is_same:
                return f"pages of {origin[:100]!r}"
        return "pages of other sites" if headers.get("sec-fetch-site") == "cross-site" else None


def _refusal(said: str, code: str) -> Forbidden:
    return Forbidden(f"without a key, {said}: {_WAY_OUT}", code)


@lru_cache(maxsize=1024)
def host_of(url: str) -> str | None:
    """The host in a URL; None if it names none.

    >>> host_of("//Gateway.:8000"), host_of("http://[::1]:8000"), host_of("null")
    ('gateway', '::1', None)
    """
    try:
        parts = urlsplit(url)
        has_more = parts.username is not None or parts.path or parts.query or parts.fragment
        return None if has_more or not parts.hostname else parts.hostname.rstrip(".")
    except ValueError:
        return None
