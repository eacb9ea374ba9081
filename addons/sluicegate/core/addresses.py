"""Host names and network addresses: which are the same, this machine's, or out of bounds for a client from elsewhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

__all__ = [
    "MAGIC_HOST",
    "Address",
    "Network",
    "address_of",
    "canonical_host",
    "host_port",
    "is_local",
    "is_within",
    "may_reach",
]

MAGIC_HOST: Final = "sluicegate.local"
"""The host of the gate's own endpoints for clients that use the gate as a proxy."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_UNICAST: Final = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out to the world
_METADATA: Final = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "169.254.169.254", "100.100.100.200")))
"""Clouds' own addresses for their machines; the first is a public one by its number."""


def canonical_host(name: str) -> str:
    """A host name in the spelling that names are compared in: lower case, without the dot of a fully qualified name."""
    return name.lower().rstrip(".")


def host_port(host: str, port: int) -> str:
    """`host:port` as in URLs: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def address_of(socket_address: Any) -> Address | None:
    """The IP of a socket address; None if it has none. IPv4 inside IPv6 becomes IPv4."""
    try:
        return _plain(ipaddress.ip_address(str(socket_address[0]).partition("%")[0]))
    except (ValueError, TypeError, IndexError):
        return None


def _plain(ip: Address) -> Address:
    """The address that a packet ends at: IPv4 in its IPv6 spellings (mapped, NAT64, 6to4) is IPv4."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def is_local(socket_address: Any) -> bool:
    """Whether a socket address is this machine's loopback."""
    ip = address_of(socket_address)
    return ip is not None and ip.is_loopback


def is_within(socket_address: Any, networks: Iterable[Network]) -> bool:
    """Whether a socket address belongs to one of the networks."""
    ip = address_of(socket_address)
    return ip is not None and any(ip.version == n.version and ip in n for n in networks)


def may_reach(ip: Address) -> bool:
    """Whether an address is out in the world: not private, loopback, link-local, multicast, reserved or a cloud's own."""
    ip = _plain(ip)
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and ip not in _METADATA
