"""The gate of the whole application: every route is behind it, and has its scope."""

import json
from pathlib import Path

import pytest
from starlette.types import Message
from structlog.testing import capture_logs

from reward_server.auth.key_store import KeyStore
from reward_server.auth.middleware import OPEN_PATHS
from reward_server.http.app import create_app
from shared.errors import InvalidRequest
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.world import GREEN

_JSON = {"Content-Type": "application/json"}


async def make_key(gateway: Gateway, *scopes: str) -> dict[str, str]:
    """The header of a new key."""
    key = await KeyStore(gateway.services.database).create("-".join(scopes), scopes)
    return {"Authorization": f"Bearer {key.secret}"}


@pytest.mark.parametrize("body", [b"{", b"", b'{"items": []}', b"\xff"])
async def test_malformed_body_without_a_key_is_401(open_gateway: OpenGateway, body: bytes) -> None:
    """What a stranger sends is not looked at."""
    gateway = await open_gateway(api_key="right")
    response = await gateway.http.post("/v1/score", content=body, headers=_JSON)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


async def test_every_route_is_behind_the_gate(open_gateway: OpenGateway) -> None:
    """Except those that are meant to be open; what is not there is 401, too."""
    gateway = await open_gateway(api_key="right")
    schema = (await gateway.http.get("/openapi.json")).json()
    routes = [(m, p) for p, path in schema["paths"].items() for m in path]
    assert ("put", "/v1/states") in routes
    for method, path in [*routes, ("get", "/v1/nothing"), ("delete", "/v1/score")]:
        response = await gateway.http.request(method, path.replace("{state_id}", GREEN))
        if path in OPEN_PATHS:
            assert response.status_code in (200, 503), path
        else:
            assert response.status_code == 401, path


async def test_every_route_behind_the_gate_documents_the_key(gateway: Gateway) -> None:
    """In the security scheme, and with its refusals."""
    schema = (await gateway.http.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path in OPEN_PATHS:
                assert "security" not in operation, path
            else:
                assert operation["security"] == [{"ApiKey": []}], path
                assert {"401", "403"} <= set(operation["responses"]), path


async def test_scopes_open_their_routes_only(open_gateway: OpenGateway) -> None:
    """A key that may upload may not score, and the other way round."""
    gateway = await open_gateway()
    scorer, uploader = await make_key(gateway, "score"), await make_key(gateway, "upload")
    item = {"state_id": GREEN, "tls_id": "C", "decision": {"kind": "extend", "extend": True}}
    content = json.dumps({"items": [item]})
    for headers, status in ((scorer, 200), (uploader, 403), ({}, 401)):
        answer = await gateway.http.post("/v1/score", content=content, headers=_JSON | headers)
        assert answer.status_code == status
    for headers, status in ((scorer, 403), (uploader, 404), ({}, 401)):
        path = "/v1/states?scenario=nowhere-0123456789ab&seed=1"
        answer = await gateway.http.put(path, headers=headers, content=b"x")
        assert answer.status_code == status
    for headers in (scorer, uploader):
        assert (await gateway.http.get("/v1/states", headers=headers)).status_code == 200
        assert (await gateway.http.get("/v1/info", headers=headers)).status_code == 200


async def test_upload_has_a_limit_of_its_own(
    open_gateway: OpenGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be larger than other bodies, and is not larger than it may be; nothing stays."""
    looked_at: list[int] = []

    async def refuse(request: IntakeRequest, timeout_s: float) -> IntakeAnswer:
        looked_at.append(request.upload.stat().st_size)
        raise InvalidRequest("no", "bad_archive")

    monkeypatch.setattr("reward_server.uploads.service.look_at", refuse)
    limits = {"max_body_bytes": 1024, "max_upload_bytes": 4096}
    gateway = await open_gateway(data_dir=tmp_path, **limits)
    for size, status in ((2000, 422), (5000, 413)):
        response = await gateway.http.put("/v1/scenarios", content=b"x" * size)
        assert response.status_code == status, response.text
    assert looked_at == [2000]
    assert _files_in(tmp_path / "uploads") == []


async def test_upload_that_breaks_off_leaves_nothing(
    open_gateway: OpenGateway, tmp_path: Path
) -> None:
    """And is no failure of the service."""
    gateway = await open_gateway(data_dir=tmp_path)
    parts: list[Message] = [
        {"type": "http.request", "body": b"half", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    head = {"type": "http", "method": "PUT", "path": "/v1/scenarios", "headers": []}
    with capture_logs() as logs:
        await create_app(gateway.services)(head | {"query_string": b""}, receive, send)
    assert sent[0]["status"] == 499
    assert [log["event"] for log in logs] == ["request"]
    assert list((tmp_path / "uploads" / ".incoming").iterdir()) == []


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_no_key_reaches_the_log(open_gateway: OpenGateway) -> None:
    """Whether it is right, wrong, in a query, or behind an error."""
    gateway = await open_gateway(api_key="the-operators-own")
    headers = await make_key(gateway, "score")
    secret = headers["Authorization"].removeprefix("Bearer ")
    with capture_logs() as logs:
        for given in (secret, secret[:-1] + "_", "the-operators-own", "the-operators-owm"):
            sent = {"Authorization": f"Bearer {given}"}
            for path in ("/v1/info", "/v1/states/nowhere", f"/v1/states?key={secret}"):
                await gateway.http.get(path, headers=sent)
            await gateway.http.post("/v1/score", content=b"{", headers=_JSON | sent)
    assert len(logs) >= 16
    assert secret not in str(logs)
    assert secret[:-1] not in str(logs)
    assert "the-operators-ow" not in str(logs)
    assert "the-operators-ow" not in repr(gateway.services)
    assert "the-operators-ow" not in str(vars(gateway.services.authenticator))
