"""A website cannot use a service that asks for no key, and keys that were lost open nothing."""

import asyncio
from pathlib import Path

import pytest

from reward_server.auth.closure import Closure
from reward_server.auth.exposure import refuse_exposure
from reward_server.auth.key_store import KeyStore
from reward_server.settings import load_settings
from shared.errors import ConfigError
from tests.unit.reward_server.conftest import OpenGateway

_STRANGE = {"Host": "rebound.example:8000", "Origin": "http://rebound.example:8000"}


@pytest.mark.parametrize("path", ["/v1/states", "/v1/info", "/metrics", "/docs", "/openapi.json"])
async def test_strange_host_is_refused(open_gateway: OpenGateway, path: str) -> None:
    """On every path that needs no key but the probes, which tell nothing."""
    gateway = await open_gateway()
    response = await gateway.http.get(path, headers=_STRANGE)
    assert (response.status_code, response.json()["code"]) == (403, "host_not_allowed")
    assert (await gateway.http.get("/healthz", headers=_STRANGE)).status_code == 200
    assert (await gateway.http.get(path)).status_code == 200


async def test_host_is_named_by_a_setting(open_gateway: OpenGateway) -> None:
    """As Compose does for its own network."""
    gateway = await open_gateway(allowed_hosts="localhost,rebound.example")
    assert (await gateway.http.get("/v1/info", headers=_STRANGE)).status_code == 200


async def test_key_is_enough_under_any_name(open_gateway: OpenGateway) -> None:
    """A page that has no key gets nowhere; what needs none is looked at all the same."""
    gateway = await open_gateway(api_key="right")
    headers = _STRANGE | {"Authorization": "Bearer right"}
    assert (await gateway.http.get("/v1/info", headers=headers)).status_code == 200
    assert (await gateway.http.get("/metrics", headers=headers)).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain; x=json", "application/jsonp", "json", ""])
async def test_only_real_json_is_scored(open_gateway: OpenGateway, kind: str) -> None:
    """Browsers send what only mentions JSON without asking."""
    gateway = await open_gateway()
    for path in ("/v1/score", "/compat/slime"):
        headers = {"Content-Type": kind}
        response = await gateway.http.post(path, content=b'{"items": []}', headers=headers)
        assert response.json()["code"] == "unsupported_content_type", path


async def test_nothing_is_redirected(open_gateway: OpenGateway) -> None:
    """To whatever host the caller has named."""
    gateway = await open_gateway()
    assert (await gateway.http.post("/v1/score/", json={})).status_code == 404


async def test_many_parameters_are_refused(open_gateway: OpenGateway) -> None:
    """Before each of them is found to be wrong."""
    gateway = await open_gateway()
    response = await gateway.http.get(f"/v1/states?{'&'.join(['a=1'] * 200)}")
    assert (response.status_code, response.json()["code"]) == (422, "too_many_parameters")


async def test_page_loads_nothing_from_elsewhere(open_gateway: OpenGateway) -> None:
    """It explains every route, and may not even run a script."""
    gateway = await open_gateway()
    response = await gateway.http.get("/docs")
    assert "PUT /v1/scenarios" in response.text
    assert "http" not in response.text.replace("http://127.0.0.1", "").split("<h1>")[0]
    assert "<script" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


async def test_lost_ledger_opens_nothing(open_gateway: OpenGateway, tmp_path: Path) -> None:
    """The data directory remembers that there was a key when the database does not."""
    (tmp_path / "data").mkdir()
    first = await open_gateway()
    await KeyStore(first.services.database).create("ann", ["score"])
    assert (await first.http.get("/v1/info")).status_code == 401
    await first.services.database.close()
    await asyncio.to_thread(_forget_ledger, tmp_path)
    second = await open_gateway()
    assert (await second.http.get("/v1/info")).status_code == 401
    assert await second.services.authenticator.has_lost_keys()


def _forget_ledger(folder: Path) -> None:
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()


async def test_lost_data_directory_opens_nothing(open_gateway: OpenGateway) -> None:
    """The database remembers that there was a key, be it revoked."""
    gateway = await open_gateway()
    keys = KeyStore(gateway.services.database)
    await keys.create("ann", ["score"])
    await keys.revoke("ann")
    assert not Closure(gateway.services.settings.data_dir).path.parent.exists()
    assert (await gateway.http.get("/v1/info")).status_code == 401
    assert not await gateway.services.authenticator.has_lost_keys()


async def test_closed_service_may_be_exposed(tmp_path: Path) -> None:
    """For nobody gets in; one that never had a key may not."""
    settings = load_settings({"data_dir": tmp_path, "host": "0.0.0.0"})
    with pytest.raises(ConfigError):
        await refuse_exposure(settings)
    Closure(tmp_path).set()
    await refuse_exposure(settings)
