"""What callers may send, and how slowly; and what becomes of those that leave."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reward_server.http.app import create_app
from reward_server.http.body_limit import BodyLimit, BodyLimits
from shared.errors import BodyTooLarge, BodyTooSlow, GreenforkError, Overloaded
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.world import GREEN

Receiver = Callable[[], Awaitable[Message]]

LIMITS = BodyLimits(max_bytes=10, max_pending_bytes=15, timeout_s=0.02, streamed={"/v1/jobs": 1000})


def parts(*sizes: int, then: Receiver | None = None) -> Receiver:
    """A body that comes in parts; without ``then``, the last one completes it."""
    left = list(sizes)

    async def receive() -> Message:
        if not left:
            assert then is not None
            return await then()
        size = left.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left or then)}

    return receive


async def never() -> Message:
    """Nothing comes any more."""
    await asyncio.Event().wait()
    raise AssertionError


def scope_of(path: str = "/v1/score", length: int | None = None) -> Scope:
    """A request's head."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http", "path": path, "method": "POST", "headers": headers}


async def send(message: Message) -> None:
    """Sends to nobody."""


def reader(read: asyncio.Event | None = None, leave: asyncio.Event | None = None) -> ASGIApp:
    """An application that reads a body, and stays until it may leave."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        if read is not None:
            read.set()
        if leave is not None:
            await leave.wait()

    return app


@pytest.mark.parametrize(
    ("scope", "receive", "error"),
    [
        (scope_of(), parts(6, 6), BodyTooLarge),
        (scope_of(length=11), never, BodyTooLarge),
        (scope_of(length=3), parts(6, 6), BodyTooLarge),
        (scope_of("/v1/jobs"), parts(600, 600), BodyTooLarge),
        (scope_of(), parts(5, then=never), BodyTooSlow),
        (scope_of(length=5), never, BodyTooSlow),
    ],
)
async def test_too_much_and_too_slow(
    scope: Scope, receive: Receiver, error: type[GreenforkError]
) -> None:
    """Counted as it comes, whatever was declared; and not waited for without end."""
    with pytest.raises(error):
        await BodyLimit(reader(), LIMITS)(scope, receive, send)


async def test_all_bodies_share_a_budget() -> None:
    """What does not fit beside others is refused with a time; afterwards it fits."""
    read, leave = asyncio.Event(), asyncio.Event()
    limit = BodyLimit(reader(read, leave), LIMITS, rand=lambda low, high: high)
    first = asyncio.create_task(limit(scope_of(), parts(10), send))
    await read.wait()
    with pytest.raises(Overloaded) as caught:
        await limit(scope_of(), parts(6), send)
    assert caught.value.retry_after_s > 1
    leave.set()
    await first
    await limit(scope_of(), parts(6), send)


async def test_bodies_that_go_to_disk_take_no_memory() -> None:
    """They have a limit of their own, and none of the budget."""
    read, leave = asyncio.Event(), asyncio.Event()
    limit = BodyLimit(reader(read, leave), LIMITS)
    upload = asyncio.create_task(limit(scope_of("/v1/jobs"), parts(900), send))
    await read.wait()
    leave.set()
    await limit(scope_of(), parts(10), send)
    await upload


async def test_refused_bodies_give_their_budget_back() -> None:
    """A caller cannot fill the memory by being refused."""
    limit = BodyLimit(reader(), LIMITS)
    for _ in range(5):
        with pytest.raises(BodyTooLarge):
            await limit(scope_of(), parts(6, 6), send)
    await limit(scope_of(), parts(10), send)


async def test_caller_that_leaves_ends_its_rollouts(gateway: Gateway) -> None:
    """Its work is ended, its room is free, and nothing is sent to nobody but a status."""
    gateway.runner.gate.clear()
    item = {"state_id": GREEN, "tls_id": "C", "decision": {"kind": "extend", "extend": True}}
    body = json.dumps({"items": [item]}).encode()
    left = asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    answers: list[Message] = []

    async def note(message: Message) -> None:
        answers.append(message)

    scope: dict[str, Any] = {
        **scope_of(length=len(body)),
        "raw_path": b"/v1/score",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("gateway", 80),
    }
    scope["headers"] = [*scope["headers"], (b"content-type", b"application/json")]
    request = asyncio.create_task(create_app(gateway.services)(scope, receive, note))
    await gateway.runner.has_begun(2)
    assert gateway.services.admission.pending_items == 1
    left.set()
    await request
    assert answers[0]["status"] == 499
    assert gateway.runner.ended == 2
    assert gateway.services.admission.pending_items == 0


async def test_groups_without_variance_are_counted(gateway: Gateway) -> None:
    """Two groups of two, of which one has equal rewards; a group of one tells nothing."""
    yes = {"decision": {"kind": "extend", "extend": True}}
    no = {"decision": {"kind": "extend", "extend": False}}
    await gateway.scored(
        yes | {"group_id": "flat"},
        yes | {"group_id": "flat"},
        yes | {"group_id": 7},
        no | {"group_id": 7},
        no | {"group_id": "alone"},
        no,
    )
    page = (await gateway.http.get("/metrics")).text.splitlines()
    assert "greenfork_groups_total 2.0" in page
    assert "greenfork_zero_variance_groups_total 1.0" in page


async def test_refusals_are_counted_by_code(gateway: Gateway) -> None:
    """An on-call sees why callers are turned away."""
    await gateway.score({"state_id": "nowhere@1-ffffffffffff", "decision": None})
    await gateway.score({"state_id": "nowhere@1-ffffffffffff", "completion": "x"})
    await gateway.score(
        {"state_id": "nowhere@1-ffffffffffff", "decision": {"kind": "extend", "extend": True}}
    )
    page = (await gateway.http.get("/metrics")).text.splitlines()
    assert 'greenfork_requests_refused_total{code="unknown_state"} 1.0' in page
    assert 'greenfork_requests_refused_total{code="invalid_request"} 2.0' in page
