"""One caller cannot have everything: slots, room and connections, by key and by address."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic.networks import IPvAnyNetwork
from starlette.types import Message, Receive, Scope, Send

from reward_server.auth.callers import SCOPES, Caller
from reward_server.http.addresses import Addresses
from reward_server.http.body_limit import BodyLimit, BodyLimits
from reward_server.http.connections import Lines
from reward_server.http.slots import FairSlots
from reward_server.scoring.admission import Shares
from shared.errors import BodyTooSlow, Overloaded

_PROXY = TypeAdapter(tuple[IPvAnyNetwork, ...]).validate_python(["10.0.0.0/8"])


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_caller_never_has_the_last_slot() -> None:
    """Who comes after one that has sent much need not wait for all of it."""
    slots, order = FairSlots(2), list[str]()

    async def work(name: str, leave: asyncio.Event) -> None:
        async with slots.held(name):
            order.append(name)
            await leave.wait()

    first, others = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(work("ann", first))
        for name in ("ann", "ann", "bob"):
            group.create_task(work(name, others))
        await _settle()
        assert order == ["ann", "bob"]
        first.set()
        await _settle()
        assert order == ["ann", "bob", "ann"]
        others.set()
    assert order == ["ann", "bob", "ann", "ann"]


async def test_slots_go_by_turns() -> None:
    """One each, however many of one caller wait."""
    slots, order = FairSlots(1), list[str]()

    async def work(name: str) -> None:
        async with slots.held(name):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in ("ann", "ann", "ann", "bob", "bob", "eve"):
            group.create_task(work(name))
    assert order == ["ann", "ann", "bob", "eve", "ann", "bob"]


async def test_who_stops_waiting_leaves_no_slot_behind() -> None:
    """Before its turn, and in the moment of it."""
    slots = FairSlots(1)
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots.held("ann"))
        waits = [asyncio.create_task(_take(slots, "bob")) for _ in range(2)]
        await _settle()
        waits[0].cancel()
        await _settle()
    waits[1].cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    async with asyncio.timeout(5):
        await _take(slots, "eve")


async def _take(slots: FairSlots, name: str) -> None:
    async with slots.held(name):
        pass


def test_share_leaves_room_for_others() -> None:
    """And one's own first thing always fits, if anything does."""
    shares = Shares(100, factor=1.0)
    while not shares.excess(["ann"], 1):
        shares.move(["ann"], 1)
    assert shares.total == 50
    assert not shares.excess(["bob"], 50)
    assert shares.excess(["bob", "ann"], 1), "by the strictest of its owners"
    shares.move(["ann"], -50)
    assert not shares.excess(["ann"], 100)


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.2.3.4", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.9", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "unknown"),
        ("2001:db8::1", None, "2001:db8::/64"),
    ],
)
def test_address_is_that_of_the_caller(client: str, forwarded: str | None, address: str) -> None:
    """As a known proxy says, and nobody else."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "client": (client, 1), "headers": headers}
    assert Addresses(_PROXY).of(scope) == address


def _scope(name: str, client: str = "192.0.2.1", path: str = "/up") -> Scope:
    caller = Caller(name, SCOPES)
    return {
        "type": "http",
        "path": path,
        "method": "PUT",
        "headers": [],
        "client": (client, 1),
        "greenfork.caller": caller,
    }


async def _never_send(message: Message) -> None:
    raise AssertionError(message)


async def _read(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


def _drip(size: int, until: Callable[[], bool] = lambda: False) -> Receive:
    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": not until()}

    return receive


async def test_uploads_are_counted_by_key_and_by_address() -> None:
    """A key that occupies its half leaves the rest to others; so does an address of many keys."""
    begun = asyncio.Event()

    async def wait() -> Message:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    limits = BodyLimits(10, 100, 60.0, streamed={"/up": 1000}, max_streamed=4)
    limit = BodyLimit(_read, limits)

    def upload(name: str, client: str) -> "asyncio.Task[None]":
        return asyncio.create_task(limit(_scope(name, client), wait, _never_send))

    slow = [upload("ann", "192.0.2.1"), upload("ann", "192.0.2.2")]
    await begun.wait()
    await _settle()
    with pytest.raises(Overloaded):
        await limit(_scope("ann", "192.0.2.3"), _drip(1, lambda: True), _never_send)
    await limit(_scope("bob", "192.0.2.4"), _drip(1, lambda: True), _never_send)
    slow.append(upload("bob", "192.0.2.5"))
    await _settle()
    with pytest.raises(Overloaded):
        await limit(_scope("eve", "192.0.2.5"), _drip(1, lambda: True), _never_send)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await limit(_scope("ann"), _drip(1, lambda: True), _never_send)


async def test_body_of_a_byte_now_and_then_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though something comes all the time; one that is fast enough may take as long as it needs."""
    loop = asyncio.get_running_loop()
    now_s = [0.0]
    monkeypatch.setattr(loop, "time", lambda: now_s[0])
    limits = BodyLimits(10**6, 10**6, 60.0, min_bytes_per_s=10.0)

    def came(size: int, every_s: float) -> Receive:
        async def receive() -> Message:
            now_s[0] += every_s
            is_last = now_s[0] > 600
            return {"type": "http.request", "body": b"x" * size, "more_body": not is_last}

        return receive

    await BodyLimit(_read, limits)(_scope("ann", path="/x"), came(400, 40.0), _never_send)
    now_s[0] = 0.0
    with pytest.raises(BodyTooSlow, match="bytes per second"):
        await BodyLimit(_read, limits)(_scope("ann", path="/x"), came(1, 40.0), _never_send)
    assert now_s[0] <= 120


class _Transport:
    def __init__(self, host: str) -> None:
        self._host = host

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401  as asyncio's own
        return (self._host, 5) if name == "peername" else None


def test_connections_are_counted_by_address() -> None:
    """Those of a proxy are those of many."""
    lines = Lines(90, Addresses(_PROXY))
    mine = 0
    while lines.take(_Transport("192.0.2.1")) is not None:  # type: ignore[arg-type]
        mine += 1
    assert mine == 80
    assert lines.take(_Transport("192.0.2.2")) == ("192.0.2.2",)  # type: ignore[arg-type]
    while lines.take(_Transport("10.0.0.1")) is not None:  # type: ignore[arg-type]
        mine += 1
    assert mine == 89
    lines.hand_back(("192.0.2.2",))
    assert lines.take(_Transport("192.0.2.3")) is not None  # type: ignore[arg-type]
