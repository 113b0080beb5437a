"""Real WebSockets: how they are opened, what bounds them, and that they are counted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from reward_server.http.addresses import Addresses
from reward_server.http.connections import MAX_FRAME_BYTES, Lines
from tests.integration.reward_server.test_schema_fuzz import running

PATIENCE_S = 0.5
KEY = {"Authorization": "Bearer right"}
ASK = json.dumps({"type": "state"})


@pytest.fixture(scope="module")
def lines() -> Lines:
    """Room for a few connections."""
    return Lines(8, Addresses())


@pytest.fixture(scope="module")
def url(lines: Lines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The WebSocket of a gateway that needs a key."""
    folder: Path = tmp_path_factory.mktemp("web-sockets")
    with running(folder, PATIENCE_S, lines) as url:
        yield f"{url.replace('http://', 'ws://')}/openenv/ws"


def test_key_as_a_header_or_in_the_url(url: str) -> None:
    """Both are what OpenEnv's clients can send."""
    for address, headers in ((url, KEY), (url.replace("ws://", "ws://x:right@"), {})):
        with connect(address, additional_headers=headers, proxy=None) as socket:
            socket.send(ASK)
            assert json.loads(socket.recv(60))["type"] == "state"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (KEY | {"Origin": "https://evil.example"}, 403),
    ],
)
def test_refused_handshake(url: str, headers: dict[str, str], status: int) -> None:
    """It is answered like any request, with a problem document."""
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url, additional_headers=headers, proxy=None),
    ):
        pass
    answer = refused.value.response
    assert (answer.status_code, json.loads(answer.body or b"")["status"]) == (status, status)


def test_other_paths_have_none(url: str) -> None:
    """With a key, too."""
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{url}s", additional_headers=KEY, proxy=None),
    ):
        pass
    assert refused.value.response.status_code in (403, 404)


def test_large_frame_ends_the_connection(url: str) -> None:
    """A frame that just fits is answered."""
    with connect(url, additional_headers=KEY, proxy=None) as socket:
        socket.send(ASK + " " * (MAX_FRAME_BYTES - len(ASK)))
        assert json.loads(socket.recv(60))["type"] == "state"
        socket.send(ASK + " " * MAX_FRAME_BYTES)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_silent_client_stays_and_is_counted(url: str, lines: Lines) -> None:
    """The patience for heads is not for WebSockets; those that end are counted no more."""
    with connect(url, additional_headers=KEY, proxy=None) as silent:
        with pytest.raises(TimeoutError):
            silent.recv(3 * PATIENCE_S)
        assert lines._shares.total >= 1
        silent.send(ASK)
        assert json.loads(silent.recv(60))["type"] == "state"
    for _ in range(30):  # more than there is room for at a time
        with connect(url, additional_headers=KEY, proxy=None) as socket:
            socket.send(ASK)
            socket.recv(60)
