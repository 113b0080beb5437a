"""Internet addresses as text."""

from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["ip_of"]


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address in a text; None where it is a name, or nothing of the kind.

    >>> ip_of("192.0.2.7"), ip_of("localhost")
    (IPv4Address('192.0.2.7'), None)
    """
    try:
        return ip_address(text)
    except ValueError:
        return None
