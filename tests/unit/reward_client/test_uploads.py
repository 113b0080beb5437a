"""Uploading from the client: what is sent, and what a refusal becomes."""

import gzip
import io
import zipfile
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from reward_client import RetryPolicy, RewardClient
from reward_client.uploads import pack
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.wire.uploads import ScenarioView
from sim_workers.uploads.archives import unpack

_VIEW = ScenarioView(
    scenario_id="town-0123456789ab", name="town", signals=("c",), dropped_options=(), created=True
)


class Service:
    """Answers what it is told to, and keeps what it was sent."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.sent: list[httpx.Request] = []

    def client(self) -> RewardClient:
        """A client of it."""
        transport = httpx.MockTransport(self._answer)
        retry = RetryPolicy(retries=1, sleep=_no_sleep)
        return RewardClient("http://door", SecretStr("key"), retry=retry, transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self._answers.pop(0)


async def _no_sleep(_seconds: float) -> None:
    return


def refusal(status: int, code: str) -> httpx.Response:
    """A problem document."""
    problem = {"title": "x", "status": status, "detail": "why", "code": code, "retryable": False}
    return httpx.Response(status, json=problem)


def created() -> httpx.Response:
    """What a service says to a new scenario."""
    return httpx.Response(201, text=_VIEW.model_dump_json())


async def test_scenario_is_put() -> None:
    """As it was given, under its name where it has one, with the key."""
    service = Service(created(), created())
    async with service.client() as client:
        assert await client.push_scenario(b"archive", "town") == _VIEW
        await client.push_scenario(b"archive")
    named, nameless = service.sent
    assert (named.method, named.url.path, dict(named.url.params)) == (
        "PUT",
        "/v1/scenarios",
        {"name": "town"},
    )
    assert (named.content, named.headers["Authorization"]) == (b"archive", "Bearer key")
    assert dict(nameless.url.params) == {}


@pytest.mark.parametrize("content", [b"<snapshot/>", gzip.compress(b"<snapshot/>", mtime=0)])
async def test_state_is_put_gzipped_once(content: bytes) -> None:
    """With what nobody can see in it."""
    service = Service(refusal(404, "unknown_scenario"))
    with pytest.raises(ServiceRefused) as refused:
        async with service.client() as client:
            await client.push_state(content, "town-0123456789ab", 7, 1.5)
    assert refused.value.code == "unknown_scenario"
    (sent,) = service.sent
    assert sent.url.path == "/v1/states"
    assert dict(sent.url.params) == {"scenario": "town-0123456789ab", "seed": "7", "scale": "1.5"}
    assert gzip.decompress(sent.content) == b"<snapshot/>"


async def test_busy_service_is_asked_again() -> None:
    """Repeating an upload is harmless."""
    service = Service(refusal(503, "overloaded"), created())
    async with service.client() as client:
        assert await client.push_scenario(b"archive") == _VIEW
    service = Service(refusal(503, "overloaded"), refusal(503, "overloaded"))
    with pytest.raises(ServiceUnreachable):
        async with service.client() as client:
            await client.push_scenario(b"archive")


def test_pack_is_a_plain_zip() -> None:
    """Of the files and nothing else, the same whenever and wherever it is made."""
    files = {"b": b"2" * 999, "a": b"1"}
    with zipfile.ZipFile(io.BytesIO(pack(files))) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == files
        assert packed.namelist() == ["a", "b"]
        for entry in packed.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.create_system, entry.external_attr >> 16) == (3, 0o100644)
            assert entry.compress_type == zipfile.ZIP_DEFLATED
    assert pack(files) == pack(dict(reversed(files.items())))


def test_service_unpacks_what_is_packed(tmp_path: Path) -> None:
    """In folders, and under names that are not ASCII."""
    files = {"city/Straße.net.xml": b"<net/>" * 99, "empty": b""}
    (tmp_path / "archive").write_bytes(pack(files))
    unpack(tmp_path / "archive", tmp_path / "out")
    for name, content in files.items():
        assert (tmp_path / "out" / name).read_bytes() == content
