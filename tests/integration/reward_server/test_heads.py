"""Heads of requests, which are counted however they come."""

import socket
from collections.abc import Iterator

import pytest

from tests.integration.reward_server.test_schema_fuzz import running


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A gateway on a fake runner."""
    with running(tmp_path_factory.mktemp("heads")) as url:
        yield int(url.rpartition(":")[2])


def _status(port: int, said: bytes) -> int:
    """The status of the answer to what is said at once."""
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(said)
        return int(line.recv(65536).split()[1])


def _head(size: int, line: bytes = b"x" * 998) -> bytes:
    begin = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    lines = b"".join(b"a%d: %b\r\n" % (n, line) for n in range(size // (len(line) + 6)))
    return begin + lines + b"\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (_head(45_000), 200),
        (_head(70_000), 431),
        (_head(200_000), 431),
        (_head(1_400, b"x"), 200),
        (_head(9_000, b"x"), 431),
    ],
    ids=["long", "too long", "much too long", "many lines", "too many lines"],
)
def test_head_of_one_read(port: int, head: bytes, status: int) -> None:
    """It has no more room than one that comes bit by bit."""
    assert _status(port, head) == status


def test_requests_sent_ahead(port: int) -> None:
    """Some may be; of endlessly many the connection ends."""
    one = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(one * 5)
        found = b""
        while found.count(b"HTTP/1.1 200") < 5:
            found += line.recv(65536)
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(one * 5000)
        answers = 0
        try:
            while said := line.recv(65536):
                answers += said.count(b"HTTP/1.1 200")
        except ConnectionError:
            pass
    assert answers < 1000
