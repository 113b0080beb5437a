"""The client against what really listens on a port and is no good: over sockets, byte by byte."""

import asyncio
import json
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from reward_client import ClientOptions, RetryPolicy, RewardClient, SyncRewardClient
from shared.decisions import Extend
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]

ITEM = ScoreItem(state_id="s@1-aaaaaaaaaaaa", tls_id="C", decision=Extend(extend=True))
PATIENCE = ClientOptions(margin_s=0.0, connect_timeout_s=0.2)
TIMEOUT_S = 0.4

BODY = json.dumps(
    {
        "results": [{"id": None, "status": "scored", "reward": 0.25}],
        "counts": {"scored": 1, "invalid": 0, "failed": 0, "cached": 0, "rollouts": 2},
        "simulator": {"name": "sumo", "version": "1.28.0"},
    }
).encode()


def head(length: int = len(BODY), *lines: str) -> bytes:
    """The head of an answer."""
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {length}", *lines, "", ""]).encode()


def sends(*parts: bytes) -> Behaviour:
    """Sends some bytes and closes."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return behave


def drips(text: bytes) -> Behaviour:
    """Sends a byte now and then: often enough for a timeout that begins anew with each."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)

    return behave


async def drips_behind_a_head(writer: asyncio.StreamWriter) -> None:
    """The head at once, the body now and then."""
    writer.write(head())
    await drips(BODY)(writer)


async def is_silent(writer: asyncio.StreamWriter) -> None:
    """Takes the request, and that is all."""
    await asyncio.Event().wait()


GOOD = sends(head() + BODY)
BAD: dict[str, Behaviour] = {
    "closes at once": sends(),
    "half a head": sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a body": sends(head() + BODY[: len(BODY) // 2]),
    "half a chunk": sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"),
    "garbage": sends(b"\x00\xff\x16\x03\x01 what is this"),
    "another protocol": sends(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "no gzip": sends(head(4, "Content-Encoding: gzip") + b"nope"),
    "silence": is_silent,
    "a slow head": drips(head() + BODY),
    "a slow body": drips_behind_a_head,
}
FOREIGN: dict[str, bytes] = {
    "no JSON": head(5) + b"hello",
    "another JSON": head(2) + b"{}",
    "NaN": head(len(BODY) - 1) + BODY.replace(b"0.25", b"NaN"),
    "a number too many": head(len(BODY) + 6) + BODY.replace(b"0.25", b"0.25e999 9"),
}
"""Whole answers that are none: to ask again cannot help."""


class Listener:
    """Behaves as its script says, connection by connection, and well afterwards."""

    def __init__(self, *script: Behaviour) -> None:
        self.script = list(script)
        self.requests = 0
        self.gone = threading.Event()
        """Set when a caller closed its connection before it had an answer."""
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for one request."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in request.lower().splitlines()
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        self.requests += 1
        behave = self.script.pop(0) if self.script else GOOD
        answering = asyncio.ensure_future(behave(writer))
        leaving = asyncio.ensure_future(reader.read())
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.gone.set()
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


@asynccontextmanager
async def listening(*script: Behaviour) -> AsyncIterator[tuple[str, Listener]]:
    """A listener on a free port, and its URL."""
    listener = Listener(*script)
    server = await asyncio.start_server(listener, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", listener
    finally:
        server.close()
        for task in tuple(listener.tasks):
            task.cancel()
        await asyncio.gather(*listener.tasks, return_exceptions=True)
        await server.wait_closed()


def client_of(url: str, retries: int) -> RewardClient:
    """A client that is soon out of patience."""
    return RewardClient(url, None, PATIENCE, RetryPolicy(retries=retries, base_s=0.01))


@pytest.mark.parametrize("name", BAD)
async def test_bad_answer_is_asked_for_again(name: str) -> None:
    """Half an answer is no answer, and what comes then is the exact one."""
    async with listening(BAD[name]) as (url, listener), client_of(url, 1) as client:
        began = time.monotonic()
        response = await client.score([ITEM], RewardSpec(), TIMEOUT_S)
        assert time.monotonic() - began < 2.0
    assert [result.reward for result in response.results] == [0.25]
    assert listener.requests == 2


@pytest.mark.parametrize("name", ["half a body", "garbage", "a slow head"])
async def test_bad_answers_end_in_an_error(name: str) -> None:
    """In bounded time, as the project's own error."""
    async with listening(*[BAD[name]] * 9) as (url, listener), client_of(url, 1) as client:
        with pytest.raises(ServiceUnreachable, match="127"):
            await client.score([ITEM], RewardSpec(), TIMEOUT_S)
    assert listener.requests == 2


@pytest.mark.parametrize("name", FOREIGN)
async def test_answer_that_is_none_is_refused(name: str) -> None:
    """At once; in no case does a number come out of it."""
    async with listening(*[sends(FOREIGN[name])] * 9) as (url, listener), client_of(url, 3) as c:
        with pytest.raises(ServiceRefused) as caught:
            await c.score([ITEM], RewardSpec(), TIMEOUT_S)
    assert (caught.value.code, listener.requests) == ("bad_answer", 1)


async def test_nobody_listens() -> None:
    """Refused connections are retried, then named."""
    async with client_of("http://127.0.0.1:9", 1) as client:
        with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9"):
            await client.score([ITEM], RewardSpec(), TIMEOUT_S)


@contextmanager
def listening_aside(*script: Behaviour) -> Iterator[tuple[str, Listener]]:
    """The same in a thread."""
    ready, found = threading.Event(), []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with listening(*script) as both:
            found.append(both)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_blocking_client_recovers() -> None:
    """The same over the client that waits."""
    with listening_aside(BAD["half a body"], BAD["no gzip"]) as (url, listener):
        retry = RetryPolicy(retries=2, base_s=0.01)
        with SyncRewardClient(url, None, PATIENCE, retry) as client:
            response = client.score([ITEM], RewardSpec(), TIMEOUT_S)
    assert (response.results[0].reward, listener.requests) == (0.25, 3)


def test_interrupt_ends_the_request() -> None:
    """Ctrl-C comes out, and the service is not left with work that nobody waits for."""
    with listening_aside(is_silent) as (url, listener), SyncRewardClient(url) as client:
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(KeyboardInterrupt):
                client.score([ITEM], RewardSpec(), 60)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert listener.gone.wait(10)
