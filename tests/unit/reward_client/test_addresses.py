"""URLs that people write, proxies that machines have, and keys that nobody else may see."""

import httpx
import pytest
from pydantic import SecretStr

from reward_client import RewardClient
from reward_client.addresses import check_key, check_url, is_loopback, open_http, proxy_of
from shared.errors import ConfigError, ServiceRefused, ServiceUnreachable

WAIT, LIMITS = httpx.Timeout(1.0), httpx.Limits()
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test says itself which there are."""
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://gpu-box:8000/", "http://gpu-box:8000"),
        (" https://lights.example/rewards/ \n", "https://lights.example/rewards"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTP://Box", "HTTP://Box"),
        ("http://box/v1/rewards", "http://box/v1/rewards"),
    ],
)
def test_url_is_kept_with_its_prefix(given: str, base: str) -> None:
    """But for blanks around it and slashes at its end."""
    assert check_url(given) == base


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("box:8000", "write http://box:8000"),
        ("10.0.0.7:8000/rewards", "write http://10.0.0.7:8000/rewards"),
        ("http://fd00::7:8000", r"http://\[fd00::7\]:8000"),
        ("http://box:99999", "no such port: 99999"),
        ("http://box:0", "no such port: 0"),
        ("http://box/v1/score", "ends before '/v1/score'"),
        ("https://box/here/v1", "ends before '/v1'"),
        ("http:///x", "looks like http://127"),
    ],
)
def test_url_that_is_none_is_answered_with_one(given: str, said: str) -> None:
    """The message holds what to write instead, where that can be told."""
    with pytest.raises(ConfigError, match=said):
        check_url(given)


@pytest.mark.parametrize(
    "url",
    [
        "http://s3cret@box:8000",
        "https://me:s3cret@box/rewards",
        "http://box:8000?key=s3cret",
        "http://box:8000/#s3cret",
        "http://me:s3cret@box:eight",
        "me:s3cret@box:8000",
    ],
)
def test_url_with_a_key_is_refused_without_showing_it(url: str) -> None:
    """It would stand in config.yaml, in logs and in messages."""
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["s3cret\nX-Evil: 1", "s3 cret", "s3crét", "s3cret\x00"])
def test_key_that_no_header_can_hold_is_refused_without_showing_it(key: str) -> None:
    """Its bytes would stand in the message of the library that sends it."""
    with pytest.raises(ConfigError) as caught:
        check_key(SecretStr(key))
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "sent"), [("s3cret\n", "s3cret"), ("  s3cret ", "s3cret"), ("\n", None)]
)
def test_key_out_of_a_file_loses_its_line_end(key: str, sent: str | None) -> None:
    """An empty one is none."""
    assert check_key(SecretStr(key)) == sent


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("LOCALHOST.", True),
        ("rewards.localhost", True),
        ("127.8.9.10", True),
        ("2130706433", True),
        ("::ffff:127.0.0.1", True),
        ("[::1]", True),
        ("::", True),
        ("localhost.example", False),
        ("128.0.0.1", False),
        ("::2", False),
    ],
)
def test_loopback_is_known_in_all_its_forms(host: str, is_ours: bool) -> None:
    """As the system resolves them, not as they are spelled."""
    assert is_loopback(host) is is_ours


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://proxy:3128", "socks5://proxy:1080", "nonsense://x"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://localhost", "http://[::1]:8"])
async def test_loopback_never_goes_to_a_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, url: str
) -> None:
    """Nor does one that cannot be used keep the client from beginning."""
    monkeypatch.setenv(name, proxy)
    assert proxy_of(httpx.URL(url)) is None
    await open_http(url, SecretStr("s3cret"), WAIT, LIMITS).aclose()


def test_no_proxy_goes_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """By host and by domain; others go through it, by what the scheme has."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("ALL_PROXY", "http://rest:3128")
    monkeypatch.setenv("NO_PROXY", "box,.inside.example")
    found = [proxy_of(httpx.URL(f"https://{h}")) for h in ("box", "a.inside.example", "far")]
    assert found == [None, None, "http://proxy:3128"]
    assert proxy_of(httpx.URL("http://far")) == "http://rest:3128"


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
async def test_key_never_goes_to_a_proxy_in_the_clear(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Over https it goes through a tunnel; without a key there is nothing to lose."""
    monkeypatch.setenv(name, "http://me:hunter2@proxy:3128")
    monkeypatch.setenv("https_proxy", "http://me:hunter2@proxy:3128")
    with pytest.raises(ConfigError, match=r"proxy:3128 unencrypted.*NO_PROXY=box") as caught:
        open_http("http://box:8000", SecretStr("s3cret"), WAIT, LIMITS)
    assert "s3cret" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    await open_http("http://box:8000", None, WAIT, LIMITS).aclose()
    await open_http("https://box:8000", SecretStr("s3cret"), WAIT, LIMITS).aclose()


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://p:1", r"httpx\[socks\]"), ("gopher://p", "is not a proxy")]
)
async def test_proxy_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    """With what to install, or how to go around it."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=rf"{said}.*NO_PROXY=box"):
        await RewardClient("http://box").info()


async def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback of the library that reads them."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at-all.pem")
    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        await RewardClient("https://box").info()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, text="no: Bearer s3cret"),
        httpx.Response(418, json={"detail": "s3cret", "title": "", "status": 418, "code": "x"}),
        httpx.Response(307, headers={"Location": "https://far/?token=s3cret"}),
        httpx.Response(502, text="s3cret"),
    ],
)
async def test_key_that_an_answer_holds_is_not_repeated(answer: httpx.Response) -> None:
    """Proxies and debuggers show what they were sent."""
    transport = httpx.MockTransport(lambda _: answer)
    async with RewardClient("http://box", SecretStr("s3cret"), transport=transport) as client:
        client._retry = type(client._retry)(retries=0)
        with pytest.raises((ServiceRefused, ServiceUnreachable)) as caught:
            await client.info()
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("https://box/rewards/v1/info", "set the reward URL to https://box/rewards$"),
        ("https://login.example/?next=x", "a login page"),
        ("/v1/info/", "redirects are not followed"),
    ],
)
async def test_redirect_is_named_and_not_followed(target: str, said: str) -> None:
    """It may lead the key to others; the message says what to set."""
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(307, headers={"Location": target})

    async with RewardClient("http://box", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(ServiceRefused, match=said) as caught:
            await client.info()
    assert (caught.value.code, len(asked)) == ("redirected", 1)


async def test_answer_of_a_proxy_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads 403 knows who said it, and how to go around."""
    monkeypatch.setenv("http_proxy", "http://me:hunter2@proxy:3128")
    transport = httpx.MockTransport(lambda _: httpx.Response(403, text="denied"))
    async with RewardClient("http://box", transport=transport) as client:
        with pytest.raises(ServiceRefused, match=r"http://proxy:3128; NO_PROXY=box") as caught:
            await client.info()
    assert "hunter2" not in caught.value.message
