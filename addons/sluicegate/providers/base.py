"""What the router needs to know of a provider."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Credential", "Origin", "bearer_token", "is_loopback", "origin_of"]

Credential = tuple[tuple[bytes, bytes], ...]
"""Header fields that authenticate a request at one provider."""

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
"""The usual spellings, told without parsing."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider listens: scheme, host, port, and the path that its API lives under (no slash at its end)."""

    tls: bool
    host: str
    port: int
    path: str = ""


def origin_of(base_url: str) -> Origin:
    """Read a base URL. ValueError where it is not http(s) with a host."""
    u = urlsplit(base_url)
    if u.scheme not in ("http", "https") or not u.hostname:
        raise ValueError(f"{base_url!r} is not an http(s) URL with a host")
    tls = u.scheme == "https"
    return Origin(tls, u.hostname, u.port or (443 if tls else 80), u.path.rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback  # an address, and not a name such as 127.example.com
    except ValueError:
        return False


def bearer_token(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The token of an `Authorization: Bearer …`, or None."""
    for name, value in fields:
        if name.lower() == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return None
