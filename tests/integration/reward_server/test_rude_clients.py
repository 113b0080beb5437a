"""Callers that keep to no rules, against a real gateway: afterwards it is as if they had not come.

Speed is not asserted. What must happen has seconds where it takes a moment; what must not would
take minutes.
"""

import asyncio
import itertools
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.dataset import Row
from tests.integration.conftest import WITHOUT_END, read_rows
from tests.integration.reward_server.serving import served
from tests.integration.reward_server.victim import HORIZONS_S, SOON_S, Victim, is_idle

PATIENCE_S = 3.0
"""After so many seconds without a word the gateway gives a caller up."""
MAX_BODY_BYTES = 2**20
SETTINGS = {
    "BODY_TIMEOUT_S": str(PATIENCE_S),
    "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "ALLOWED_HOSTS": "gateway",
    "MAX_PENDING_BYTES": str(4 * MAX_BODY_BYTES),
}
CHUNKED = (
    b"POST /v1/score HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
"""The head of a request whose body comes in chunks."""


@pytest.fixture(scope="module")
def _gateway(
    dataset_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Victim]:
    dataset = dataset_of(WITHOUT_END)
    rows = tuple(Row.model_validate(row) for row in read_rows(dataset))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SETTINGS.items():
            environment.setenv(f"GREENFORK_SERVER_{name}", value)
        with served(dataset, data_dir=tmp_path_factory.mktemp("rude")) as url:
            yield Victim(url, rows)


@pytest.fixture
async def victim(_gateway: Victim) -> AsyncIterator[Victim]:
    """A gateway that must be well after the test, too."""
    yield _gateway
    await _gateway.is_well()


def _post(body: bytes, *headers: str, path: str = "/v1/score", length: int | None = None) -> bytes:
    said = [
        f"POST {path} HTTP/1.1",
        "Host: gateway",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(said).encode() + b"\r\n\r\n" + body


def _request(items: list[dict[str, Any]], **terms: object) -> bytes:
    return _post(json.dumps({"items": items} | terms).encode())


def _endless(victim: Victim) -> bytes:
    """A request that takes minutes, all of it work that nobody has asked for before."""
    first = next(HORIZONS_S) * 1000
    reward = {"name": "queue", "horizon_s": 3600, "seeds": list(range(first, first + 32))}
    return _request(victim.items(), reward=reward, timeout_s=3600)


async def test_body_that_never_ends(victim: Victim) -> None:
    """It is answered 408, and the connection ends, whatever the body's form."""
    begun = [
        _post(b'{"items":', length=1000),
        _post(b"", length=1000),
        CHUNKED,
        CHUNKED + b"5\r\nhello\r\n",
    ]
    await asyncio.gather(*(_is_too_slow(victim, begin) for begin in begun))


async def _is_too_slow(victim: Victim, begin: bytes) -> None:
    async with victim.called() as line:
        for byte in begin:
            await line.say(bytes([byte]))
        status, _, body = await line.answer()
        assert (status, json.loads(body)["code"]) == (408, "body_too_slow")
        assert await line.hung_up() == b""


async def test_bodies_given_up_free_their_memory(victim: Victim) -> None:
    """They take all there is for bodies; when they are gone, it is there again."""
    most = MAX_BODY_BYTES - 1
    async with (
        victim.called() as one,
        victim.called() as two,
        victim.called() as three,
        victim.called() as four,
        victim.called() as more,
    ):
        for line in (one, two, three, four):
            await line.say(_post(b" " * most, length=MAX_BODY_BYTES))
        await more.say(_post(b" " * MAX_BODY_BYTES))
        status, headers, _ = await more.answer()
        # Whoever is refused may be any of them: the last bytes of the first may come last.
        statuses = [(await line.answer())[0] for line in (one, two, three, four)] + [status]
        assert set(statuses) <= {400, 408, 503}
        assert 408 in statuses
        assert status != 503 or 1 <= int(headers["retry-after"]) <= 60


async def test_refused_body_that_goes_on_for_ever(victim: Victim) -> None:
    """What comes after the answer is not taken without end."""
    async with victim.called() as line:
        chunk = b"ffff\r\n" + b" " * 0xFFFF + b"\r\n"
        await line.say(CHUNKED)
        await line.is_cut_off(itertools.repeat(chunk))


@pytest.mark.parametrize("how", ["closes", "vanishes", "stops sending"])
async def test_caller_that_goes_takes_its_rollouts_along(victim: Victim, how: str) -> None:
    """Minutes of work end. One that shuts its sending side only has gone as well."""
    async with victim.called() as line:
        await line.say(_endless(victim))
        await victim.until(
            lambda m: m["greenfork_pool_queued"] > 0 and m["greenfork_pool_busy"] > 0
        )
        if how == "closes":
            line.writer.close()
        elif how == "vanishes":
            line.vanish()
        else:
            line.writer.write_eof()
        await victim.until(is_idle)


async def test_callers_that_go_at_any_moment(victim: Victim) -> None:
    """In the head, in the body, just after it: no moment leaves anything behind."""
    request = _request(victim.items(), reward={"name": "queue", "horizon_s": 60})
    for sent in range(0, len(request) + 1, max(1, len(request) // 50)):
        async with victim.called() as line:
            await line.say(request[:sent])
            line.vanish()
    async with victim.called() as line:
        await line.say(request)
        line.vanish()


async def test_work_that_another_caller_waits_for_goes_on(victim: Victim) -> None:
    """When one of two goes, the other one gets its answer."""
    first = next(HORIZONS_S) * 1000
    reward = {"name": "queue", "horizon_s": 60, "seeds": list(range(first, first + 2))}
    request = _request(victim.items(), reward=reward, timeout_s=300)
    async with victim.called() as goes, victim.called() as stays:
        await goes.say(request)
        await victim.until(lambda m: m["greenfork_pool_busy"] > 0)
        await stays.say(request)
        await victim.until(lambda m: m["greenfork_pending_items"] > 2 * len(victim.items()))
        goes.vanish()
        status, _, body = await stays.answer()
    assert status == 200
    assert json.loads(body)["counts"]["scored"] == len(victim.items())


async def test_callers_that_never_read(victim: Victim) -> None:
    """Answers that are larger than what the kernel takes are not kept for those who do not."""
    reward = {"name": "queue", "horizon_s": 900}
    request = _request(victim.items() * 128, reward=reward, series=True, timeout_s=300)
    async with victim.called() as line:
        await line.say(request)
        assert len((await line.answer())[2]) > 2**22
    callers = [await _deaf_caller(victim.port, request) for _ in range(8)]
    try:
        await _until(lambda: _held_bytes(victim.port) > 0)
        await _until(lambda: _held_bytes(victim.port) == 0)
    finally:
        for caller in callers:
            caller.close()


async def _until(is_true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + SOON_S
    while not is_true():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)


async def _deaf_caller(port: int, request: bytes) -> socket.socket:
    """Sends a request over a socket that takes next to nothing."""
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(caller, ("127.0.0.1", port))
    await loop.sock_sendall(caller, request)
    return caller


def _held_bytes(port: int) -> int:
    """What the kernel keeps of answers that were not taken yet (proc_net_tcp(5): tx_queue)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    own = [line for line in lines if int(line[1].rpartition(":")[2], 16) == port]
    return sum(int(line[4].partition(":")[0], 16) for line in own)


async def test_pipelined_requests_are_answered_in_order(victim: Victim) -> None:
    """All at once, the slow one first."""
    items = [item | {"id": number} for number, item in enumerate(victim.items())]
    reward = {"name": "queue", "horizon_s": next(HORIZONS_S)}
    slow = [item | {"id": "slow"} for item in victim.items()]
    async with victim.called() as line:
        await line.say(
            _request(slow, reward=reward) + b"".join(_request([item]) for item in items[:8])
        )
        ids = []
        for _ in range(9):
            status, _, body = await line.answer()
            assert status == 200
            ids.append(json.loads(body)["results"][0]["id"])
    assert ids == ["slow", *range(8)]


async def test_pipelining_caller_that_goes_takes_its_rollouts_along(victim: Victim) -> None:
    """The first of several requests ends too, and the others do not begin."""
    async with victim.called() as line:
        await line.say(_endless(victim) + _endless(victim))
        await victim.until(lambda m: m["greenfork_pool_busy"] > 0)
        line.vanish()
        await victim.until(is_idle)


async def test_idle_connections(victim: Victim) -> None:
    """500 that say nothing, or only the beginning of a head, keep nobody out and are closed."""
    lines = [await asyncio.open_connection("127.0.0.1", victim.port) for _ in range(500)]
    try:
        for _, writer in lines[::2]:
            writer.write(b"POST /v1/score HTTP/1.1\r\nHost: ga")
        await victim.is_well()
        async with asyncio.timeout(SOON_S):
            assert await asyncio.gather(*(reader.read() for reader, _ in lines)) == [b""] * 500
    finally:
        for _, writer in lines:
            writer.close()


NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/score HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/score HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST /v1/score HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST /v1/score HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%00%ff%0d%0a HTTP/1.1\r\nConnection: close\r\nX-Request-ID: \xff\xfe\r\n\r\n",
    b"GET /v1/score HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
    b"GET /v1/score HTTP/1.1\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    b"TRACE /v1/score HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n",
]
"""What is no HTTP, or none that is served."""


async def test_nonsense_is_refused(victim: Victim) -> None:
    """With a status below 500, or by closing the connection."""
    said = await asyncio.gather(*(_reply_to(victim, nonsense) for nonsense in NONSENSE))
    for nonsense, reply in zip(NONSENSE, said, strict=True):
        assert re.match(rb"(HTTP/1.1 [34]\d\d |$)", reply), (nonsense, reply)


async def _reply_to(victim: Victim, nonsense: bytes) -> bytes:
    async with victim.called() as line:
        await line.say(nonsense)
        return await line.hung_up()


@pytest.mark.parametrize(
    "begin",
    [b"GET /healthz HTTP/1.1\r\n", b"GET /"],
    ids=["headers", "url"],
)
async def test_head_without_end(victim: Victim, begin: bytes) -> None:
    """It is not kept in memory: after some of it the connection ends."""
    more = b"X-Flood: " + b"x" * 1000 + b"\r\n" if begin.endswith(b"\n") else b"x" * 1000
    async with victim.called() as line:
        await line.say(begin)
        await line.is_cut_off([more] * 20_000)


async def test_trailers_without_end(victim: Victim) -> None:
    """Behind a chunked body they are bounded like a head."""
    async with victim.called() as line:
        await line.say(CHUNKED + b"0\r\n")
        await line.is_cut_off([b"X-Flood: " + b"x" * 1000 + b"\r\n"] * 20_000)
