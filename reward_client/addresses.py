"""Addresses of a reward service: URLs, proxies, certificates, API keys.

Owns everything that is decided before a request is sent. Messages never contain a key.
"""

import ipaddress
import re
import socket
import ssl
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from shared.errors import ConfigError
from shared.validation import ip_of

__all__ = ["check_key", "check_url", "is_loopback", "open_http", "proxy_of", "without_secrets"]

_EXAMPLE = "http://127.0.0.1:8000"
_ENDPOINT = re.compile(r"/(v1(/(score|info|states|jobs|scenarios).*)?|healthz|readyz)$")
_KEY = re.compile(r"[\x21-\x7e]+")


def check_url(url: str) -> str:
    """The reward URL without a trailing slash; a path prefix is kept.

    Messages show only the scheme, host and path of a URL: the rest may contain a key.

    Raises:
        ConfigError: It is not an absolute http or https URL, or has parts that it must not have.
    """
    url = url.strip()
    shown = without_secrets(url)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ConfigError(f"{shown!r} is not a URL{_cure(url, str(exc))}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"{shown!r} is not a reward URL{_cure(url, '')}")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise ConfigError(f"{shown!r}: no such port: {parsed.port}")
    if parsed.userinfo or "@" in parsed.netloc.decode("ascii", "replace"):
        raise ConfigError(
            f"the reward URL {shown} contains a user name or key, which would end up in logs: "
            "remove it, and set the API key as GREENFORK_API_KEY"
        )
    if parsed.query or parsed.fragment:
        raise ConfigError(
            f"the reward URL {shown} has a ? or # part, which the service ignores: remove it; set "
            "an API key as GREENFORK_API_KEY"
        )
    if end := _ENDPOINT.search(parsed.path.rstrip("/")):
        raise ConfigError(
            f"{shown!r} is the address of one endpoint; the reward URL ends before {end[0]!r}"
        )
    return url.rstrip("/")


def _cure(url: str, said: str) -> str:
    """A suggestion of what to write instead."""
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme:
        host = rest or scheme
        is_host = re.fullmatch(r"[A-Za-z0-9.\-]+(:\d+)?(/\S*)?", host) is not None
        return f"; write http://{host}" if is_host else f"; it looks like {_EXAMPLE}"
    host = rest.partition("/")[0]
    if host.count(":") > 1 and not host.startswith("["):
        address, _, port = host.rpartition(":")
        if ip_of(address) and not host.endswith("::" + port):
            return f"; put IPv6 addresses in brackets: {scheme}://[{address}]:{port}"
        return f"; put IPv6 addresses in brackets: {scheme}://[::1]:8000"
    reason = "" if "@" in url else f": {said}" if said else ""
    return f"{reason}; it looks like {_EXAMPLE}"


def without_secrets(url: str) -> str:
    """A URL without user name, password, query and fragment, safe to display.

    >>> without_secrets("http://me:s3cret@gpu-box:8000/r?key=s3cret#s3cret")
    'http://gpu-box:8000/r'
    """
    plain = re.split(r"[?#]", url, maxsplit=1)[0]
    scheme, is_absolute, rest = plain.rpartition("://")
    host, slash, path = rest.partition("/")
    return scheme + is_absolute + host.rpartition("@")[2] + slash + path


def check_key(key: SecretStr | None) -> str | None:
    """The API key without surrounding white space, ready to send.

    Raises:
        ConfigError: It contains characters that a header cannot; the message does not show it.
    """
    if key is None or not (value := key.get_secret_value().strip()):
        return None
    if not _KEY.fullmatch(value):
        raise ConfigError(
            "the API key contains spaces, line breaks or other invalid characters; pass it "
            "exactly as the service printed it"
        )
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, which no proxy can reach.

    >>> [is_loopback(host) for host in ("localhost", "127.1", "::1", "0.0.0.0", "10.0.0.1")]
    [True, True, True, True, False]
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = ip_of(name.partition("%")[0])
    if address is None:
        try:
            address = ipaddress.ip_address(socket.inet_aton(name))  # 127.1, 0x7f000001
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_loopback or address.is_unspecified


def proxy_of(url: httpx.URL) -> str | None:
    """The proxy for a URL according to the environment; None for a direct connection.

    Uses ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` in upper or lower case.
    Loopback addresses are always reached directly.
    """
    if is_loopback(url.host) or proxy_bypass(url.host):
        return None
    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def open_http(
    url: str,
    key: SecretStr | None,
    timeout: httpx.Timeout,
    limits: httpx.Limits,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """An HTTP client for a reward service.

    Args:
        url: URL of the service.
        key: Sent as a bearer token.
        timeout: Default timeout of requests.
        limits: Limits of the connection pool.
        transport: Replaces the network, for tests.

    Raises:
        ConfigError: The URL, the key, the proxy or the certificates cannot be used.
    """
    base = check_url(url)
    token = check_key(key)
    if transport is None:
        transport = _transport(httpx.URL(base), token is not None, limits)
    return httpx.AsyncClient(
        base_url=base,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=timeout,
        transport=transport,
    )


def _transport(url: httpx.URL, has_key: bool, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    proxy = proxy_of(url)
    if proxy is not None and url.scheme == "http" and has_key:
        raise ConfigError(
            f"the API key would be sent to the proxy {without_secrets(proxy)} unencrypted: use an "
            f"https:// reward URL, or set NO_PROXY={url.host}"
        )
    try:
        verify = _certificates(url, proxy)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"SSL_CERT_FILE or SSL_CERT_DIR names no readable certificates ({exc}): set it to a "
            "PEM file"
        ) from exc
    try:
        return httpx.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy)
    except ImportError as exc:
        raise ConfigError(
            f"the proxy {without_secrets(str(proxy))} is a SOCKS proxy, which needs a package: "
            f"pip install 'httpx[socks]'; or bypass it with NO_PROXY={url.host}"
        ) from exc
    except (ValueError, httpx.InvalidURL) as exc:
        raise ConfigError(
            f"{without_secrets(str(proxy))!r} (from HTTP_PROXY, HTTPS_PROXY or ALL_PROXY) is not "
            f"a proxy URL: write it as http://host:port, or set NO_PROXY={url.host}"
        ) from exc


def _certificates(url: httpx.URL, proxy: str | None) -> ssl.SSLContext:
    """What TLS is checked with; to read the world's certificates takes 25 ms of computing."""
    if url.scheme == "https" or (proxy or "").startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
