"""A request's client address: the peer, or the one that a trusted proxy reports."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from shared.validation import ip_of

__all__ = ["Addresses", "address_of"]

_NOWHERE = "unknown"
_V6_PREFIX = 64
"""Whoever has one IPv6 address usually has its whole network."""


class Addresses:
    """Tells callers apart by their addresses.

    Args:
        proxies: Networks whose ``X-Forwarded-For`` is trusted.
    """

    def __init__(self, proxies: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._proxies = tuple(proxies)

    def is_proxy(self, host: str) -> bool:
        """Whether an address belongs to a trusted proxy."""
        address = ip_of(host)
        return address is not None and any(address in network for network in self._proxies)

    def of(self, scope: Scope) -> str:
        """Who sent a request: the last address on its way that is not a trusted proxy."""
        client = scope.get("client")
        host = client[0] if client else _NOWHERE
        if not self.is_proxy(host):
            return address_of(host)
        hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for hop in reversed(hops[-20:]):
            if hop.strip() and not self.is_proxy(hop.strip()):
                return address_of(hop.strip())
        return address_of(host)


@lru_cache(maxsize=1024)
def address_of(host: str) -> str:
    """The form under which an address is counted.

    >>> address_of("192.0.2.7"), address_of("2001:db8::1:2"), address_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    """
    address = ip_of(host)
    if not isinstance(address, IPv6Address):
        return _NOWHERE if address is None else str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _V6_PREFIX), strict=False))
