"""Whether a name resolves to a private or otherwise internal address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from sluicegate.core.addresses import address_of, may_reach

__all__ = ["leads_inside"]


_RESOLVE_S: Final = 5.0


async def leads_inside(host: str, port: int) -> bool:
    """Whether a host that a client named is, or resolves to, an address that it may not be led to.

    A name that can not be resolved here leads nowhere from here: False. A company's proxy may know it: that is its affair.
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
