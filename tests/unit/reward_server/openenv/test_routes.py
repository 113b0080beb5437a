"""The WebSocket: who may open it, what is counted, and what else is served beside it."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.types import Message

from reward_server.http.openenv import routes
from reward_server.http.openenv.session import OpenEnvSession
from tests.unit.reward_server.conftest import Gateway, OpenGateway

Headers = dict[str, str]
KEY = "k" * 40


async def converse(
    gateway: Gateway, frames: Sequence[str | bytes], headers: Headers | None = None
) -> list[Message]:
    """What the application sends to a client that says this and leaves."""
    transport: Any = gateway.http._transport
    told: list[Message] = []
    coming: list[Message] = [{"type": "websocket.connect"}]
    for frame in frames:
        kind = "text" if isinstance(frame, str) else "bytes"
        coming.append({"type": "websocket.receive", kind: frame})
    coming.append({"type": "websocket.disconnect", "code": 1000})

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        told.append(message)

    given = {"host": "127.0.0.1:8000"} | (headers or {})
    scope = {
        "type": "websocket",
        "path": "/openenv/ws",
        "raw_path": b"/openenv/ws",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await transport.app(scope, receive, send)
    return told


def refusal(told: list[Message]) -> tuple[int, str]:
    """The status and the code that stand in place of a handshake."""
    start, *bodies = told
    assert start["type"] == "websocket.http.response.start"
    problem = json.loads(b"".join(body["body"] for body in bodies))
    return start["status"], problem["code"]


def frames_of(told: list[Message]) -> list[dict[str, Any]]:
    """What was said after the handshake."""
    assert told[0]["type"] == "websocket.accept"
    return [json.loads(one["text"]) for one in told if one["type"] == "websocket.send"]


@pytest.fixture
async def keyed(open_gateway: OpenGateway) -> Gateway:
    """A gateway that asks for a key."""
    return await open_gateway(api_key=SecretStr(KEY))


async def test_frames_are_answered_in_order(gateway: Gateway) -> None:
    """Bytes are not taken for text; after a close nothing is."""
    told = await converse(gateway, ['{"type": "state"}', b"{}", '{"type": "close"}', "{}"])
    state, wrong = frames_of(told)
    assert state["data"]["step_count"] == 0
    assert wrong["data"]["code"] == "INVALID_JSON"
    assert told[-1]["type"] == "websocket.close"


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_foreign_page_is_refused(gateway: Gateway, keyed: Gateway, origin: str) -> None:
    """With a key, too: a browser asks nobody before it opens a WebSocket."""
    sent = {"origin": origin}
    assert refusal(await converse(gateway, [], sent)) == (403, "origin_not_allowed")
    sent["authorization"] = f"Bearer {KEY}"
    assert refusal(await converse(keyed, [], sent)) == (403, "origin_not_allowed")
    assert frames_of(await converse(gateway, [], {"origin": "http://127.0.0.1:8000"})) == []


async def test_rebound_name_is_refused(gateway: Gateway) -> None:
    """A page whose own name was made to mean this machine, where no key is needed."""
    sent = {"origin": "http://evil.example", "host": "evil.example"}
    assert refusal(await converse(gateway, [], sent)) == (403, "host_not_allowed")


async def test_key_is_needed(keyed: Gateway) -> None:
    """As a bearer token, or as the password of the URL."""
    assert refusal(await converse(keyed, [])) == (401, "unauthorized")
    asked = ['{"type": "state"}']
    basic = base64.b64encode(f"x:{KEY}".encode()).decode()
    for sent in (f"Bearer {KEY}", f"Basic {basic}"):
        (state,) = frames_of(await converse(keyed, asked, {"authorization": sent}))
        assert state["type"] == "state"


async def test_open_sessions_are_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told so as OpenEnv does, and closed; those that left do not count."""
    transport: Any = gateway.http._transport
    sessions = transport.app.state.openenv_sessions
    sessions.move(("key other",), routes.MAX_SESSIONS)
    told = await converse(gateway, ['{"type": "state"}'])
    (full,) = frames_of(told)
    assert full["data"]["code"] == "CAPACITY_REACHED"
    assert full["data"]["max_sessions"] == routes.MAX_SESSIONS
    assert told[-1]["type"] == "websocket.close"
    sessions.move(("key other",), -routes.MAX_SESSIONS)
    for _ in range(2):
        assert len(frames_of(await converse(gateway, ['{"type": "state"}']))) == 1
    assert sessions.total == 0


async def test_fault_ends_the_session(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, without what is inside, and the socket is closed."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(OpenEnvSession, "answer", broken)
    told = await converse(gateway, ["{}", "{}"])
    (fault,) = frames_of(told)
    assert fault["data"]["code"] == "SESSION_ERROR"
    assert "secret" not in json.dumps(fault)
    assert told[-1]["type"] == "websocket.close"


async def test_what_is_asked_over_http(keyed: Gateway) -> None:
    """The schema has one required field, which is how verifiers knows where a text goes."""
    http, key = keyed.http, {"authorization": f"Bearer {KEY}"}
    assert (await http.get("/openenv/health")).json() == {"status": "healthy"}
    assert (await http.get("/openenv/schema")).status_code == 401
    schema = (await http.get("/openenv/schema", headers=key)).json()
    assert schema["action"]["required"] == ["completion"]
    assert schema["action"]["title"] not in {"Action", "CallToolAction", "ListToolsAction"}
    assert {"signals", "time_s"} <= schema["observation"]["properties"].keys()
    state = (await http.get("/openenv/state", headers=key)).json()
    assert (state["episode_id"], state["step_count"]) == (None, 0)
    assert (await http.get("/openenv/metadata", headers=key)).json()["name"] == "greenfork"
