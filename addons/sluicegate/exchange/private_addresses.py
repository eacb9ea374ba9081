"""Private addresses: whether a host that a client named resolves to one, and the error text if it does."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from sluicegate.core.addresses import address_of, may_reach

__all__ = ["PRIVATE_ADDRESS", "resolves_to_private"]

PRIVATE_ADDRESS: Final = "clients on other machines cannot reach private addresses through the gate"
_RESOLVE_S: Final = 5.0


async def resolves_to_private(host: str, port: int) -> bool:
    """Whether a host is, or resolves to, a private or otherwise internal address.

    False if the name cannot be resolved on this machine: the connection would fail. An upstream proxy may know the name;
    what that proxy allows is its own decision.
    """
    bare = host.strip("[]").partition("%")[0]
    try:
        return not may_reach(ipaddress.ip_address(bare))
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), _RESOLVE_S)
    except (OSError, UnicodeError):  # asyncio's TimeoutError is an OSError
        return False
    addresses = [address_of(info[4]) for info in found]
    return any(ip is None or not may_reach(ip) for ip in addresses)
