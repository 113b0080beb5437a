"""The client on its way to a service: proxies, prefixes, addresses and certificates, for real."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from reward_client import RetryPolicy, RewardClient
from shared.errors import ServiceRefused, ServiceUnreachable
from shared.rewards import RewardSpec
from tests.integration.reward_client.test_bad_services import BODY, ITEM, head

_DENIED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\ndenied"
ONCE = RetryPolicy(retries=0)


@asynccontextmanager
async def answering(
    answer: bytes,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    end: bytes = b"\r\n\r\n",
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Gives one answer to whatever comes; its port, and the heads that came."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(end))
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


GOOD = head() + BODY


async def test_service_on_this_machine_is_reached_beside_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The proxy sees nothing of it, the key least of all."""
    async with answering(_DENIED) as (proxy, seen), answering(GOOD) as (port, heads):
        for name in ("http_proxy", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        monkeypatch.delenv("no_proxy", raising=False)
        for host in ("127.0.0.1", "localhost"):
            async with RewardClient(f"http://{host}:{port}", SecretStr("s3cret")) as client:
                response = await client.score([ITEM], RewardSpec())
            assert response.results[0].reward == 0.25
    assert seen == []
    assert all(b"Bearer s3cret" in one for one in heads)


async def test_service_elsewhere_is_asked_for_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And where that refuses, the message names it."""
    async with answering(_DENIED) as (proxy, seen):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy}")
        async with RewardClient("http://box.invalid:8000", retry=ONCE) as client:
            with pytest.raises(ServiceUnreachable, match=f"proxy http://127.0.0.1:{proxy}"):
                await client.score([ITEM], RewardSpec())
    assert seen[0].startswith(b"POST http://box.invalid:8000/v1/score")


@pytest.mark.parametrize("prefix", ["/rewards/", "/a/b", "/"])
async def test_path_before_the_service_s_own_is_asked_for(prefix: str) -> None:
    """As behind a reverse proxy; a slash at the end changes nothing."""
    async with answering(GOOD) as (port, heads):
        client = RewardClient(f"http://127.0.0.1:{port}{prefix}")
        await client.score([ITEM], RewardSpec())
        await client.aclose()
    assert heads[0].startswith(b"POST " + prefix.rstrip("/").encode() + b"/v1/score HTTP")


async def test_ipv6_address_is_reached() -> None:
    """In its brackets."""
    async with answering(GOOD, "::1") as (port, _), RewardClient(f"http://[::1]:{port}") as client:
        assert (await client.score([ITEM], RewardSpec())).results[0].reward == 0.25


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        check=True,
        cwd=folder,
        capture_output=True,
    )
    return folder


def _serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


async def test_certificate_of_one_s_own_is_given_by_a_variable(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the message says so, at once, for asking again cannot help."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with answering(GOOD, tls=_serving(certificate)) as (port, heads):
        url = f"https://localhost:{port}"
        async with RewardClient(url, SecretStr("s3cret")) as client:
            with pytest.raises(ServiceRefused, match="set SSL_CERT_FILE") as caught:
                await client.score([ITEM], RewardSpec())
        assert (caught.value.code, heads) == ("tls_failed", [])
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        async with RewardClient(url, SecretStr("s3cret")) as client:
            assert (await client.score([ITEM], RewardSpec())).results[0].reward == 0.25
        async with RewardClient(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(ServiceRefused, match="for another name"):
                await client.score([ITEM], RewardSpec())


async def test_tls_to_a_service_without_is_named() -> None:
    """The cure is one letter."""
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", end=b"\x16") as (port, _):
        client = RewardClient(f"https://127.0.0.1:{port}", retry=ONCE)
        with pytest.raises(ServiceRefused, match="use http://"):
            await client.info()
        await client.aclose()
