"""Which websites may use a service that asks for no key."""

import pytest
from starlette.datastructures import Headers

from reward_server.auth.origins import Origins
from shared.errors import Forbidden

ORIGINS = Origins(["localhost", "gateway"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:8000"},
        {"host": "GATEWAY.:8000"},
        {"host": "10.1.2.3"},
        {"host": "[::1]:8000"},
        {"host": "localhost", "origin": "http://localhost:3000"},
        {"host": "10.1.2.3:8000", "origin": "http://10.1.2.3:8000"},
        {"host": "localhost", "sec-fetch-site": "same-origin"},
    ],
)
def test_known_names_and_addresses_may(headers: dict[str, str]) -> None:
    """And pages of the service itself, and programs, which say nothing of pages."""
    ORIGINS.check(Headers(headers))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "rebound.example:8000"}, "host_not_allowed"),
        ({"host": "localhost.rebound.example"}, "host_not_allowed"),
        ({"host": "user@localhost"}, "host_not_allowed"),
        ({"host": "localhost/x"}, "host_not_allowed"),
        ({"host": "[::1"}, "host_not_allowed"),
        ({"host": ""}, "host_not_allowed"),
        ({"host": "localhost", "origin": "http://rebound.example"}, "origin_not_allowed"),
        ({"host": "localhost", "origin": "null"}, "origin_not_allowed"),
        ({"host": "10.1.2.3", "origin": "http://10.9.9.9"}, "origin_not_allowed"),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, "origin_not_allowed"),
    ],
)
def test_strange_pages_may_not(headers: dict[str, str], code: str) -> None:
    """Whether their name was rebound to this machine, or they only send."""
    with pytest.raises(Forbidden, match="GREENFORK_SERVER_ALLOWED_HOSTS") as caught:
        ORIGINS.check(Headers(headers))
    assert caught.value.code == code


def test_two_hosts_are_none() -> None:
    """Nobody knows which of them others have looked at."""
    with pytest.raises(Forbidden):
        ORIGINS.check(Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")]))
