"""Uploading from the client: what is sent, and what a refusal becomes."""

import gzip
import io
import tarfile

import httpx
import pytest
from pydantic import SecretStr

from reward_client import RetryPolicy, RewardClient
from reward_client.uploads import pack
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.wire.uploads import ScenarioView

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


def test_pack_is_a_plain_tar() -> None:
    """Of the files and nothing else, the same whenever it is made."""
    files = {"b": b"2", "a": b"1"}
    with tarfile.open(fileobj=io.BytesIO(pack(files))) as packed:
        assert packed.getnames() == ["a", "b"]
        assert all(entry.mtime == 0 and entry.isreg() for entry in packed)
    assert pack(files) == pack(dict(reversed(files.items())))
