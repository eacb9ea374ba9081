"""Connections to providers, over all clients: how many may be open, who waits for one, and which idle ones are closed.

mitmproxy gives every client connection server connections of its own; there is no shared pool (with TLS upstream a
client's first request pays for that, its later ones do not). What is bounded here is their number per destination:

    max         open at one time. A further one waits up to pool_s, and idle ones of other clients are closed for it
    keepalive   idle at one time. The one that has been idle longest is closed
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.proxy.layers.http import Http1Client, HttpLayer

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.mitmproxy_internals import Http2Connection

__all__ = ["FULL", "Pool", "http_client", "is_idle"]

FULL: Final = "no free connection"
"""How the error of a connection that was not opened for want of a place begins."""

Address = tuple[str, int]


@dataclass(slots=True)
class _Held:
    """A connection that takes a place."""

    client_id: str
    parent: HttpLayer | None = None
    """The layer that sends requests over it, once it has been used."""


@dataclass(slots=True)
class _Destination:
    held: dict[Server, _Held] = field(default_factory=dict)
    """In the order of their last use."""
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Pool:
    """Places for connections, by destination. Fed by the server hooks of the Chain and by the streams."""

    def __init__(self) -> None:
        self._at: dict[Address, _Destination] = {}

    def open_to(self, address: Address) -> int:
        """How many connections to a destination are open, or being opened."""
        found = self._at.get(address)
        return len(found.held) if found else 0

    # -- opening
    def take(self, data: server_hooks.ServerConnectionHookData, most: int) -> bool:
        """A place for a connection that is about to be opened; False where it has to be waited for."""
        server = data.server
        assert server.address
        at = self._at.setdefault(server.address[:2], _Destination())
        if len(at.held) >= most and not self._close_idle(at, 1):
            return False
        if len(at.held) >= most or at.waiting:
            return False
        at.held[server] = _Held(data.client.id)
        return True

    async def wait(self, data: server_hooks.ServerConnectionHookData, most: int, pool_s: float) -> None:
        """Wait for a place, first come first served; after `pool_s` the connection gets an error in place of one."""
        server = data.server
        assert server.address
        at = self._at.setdefault(server.address[:2], _Destination())
        deadline = asyncio.get_running_loop().time() + pool_s
        while len(at.held) >= most:
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            at.waiting.append(free)
            try:
                await asyncio.wait_for(free, deadline - asyncio.get_running_loop().time())
            except asyncio.CancelledError:  # the client has gone
                _wake(at)
                raise
            except TimeoutError:
                _wake(at)
                server.error = f"{FULL} within {pool_s:g} s: {most} are in use (config key connections.max)"
                return
            finally:
                if free in at.waiting:
                    at.waiting.remove(free)
        at.held[server] = _Held(data.client.id)

    def used(self, server: Server, parent: HttpLayer) -> None:
        """A request is about to be sent over a connection."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at and (held := at.held.pop(server, None)):
            held.parent = parent
            at.held[server] = held  # the last used comes last

    # -- closing
    def closed(self, server: Server) -> None:
        """A connection has ended, or was never opened. Whoever waits longest gets its place."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at is None or at.held.pop(server, None) is None:
            return
        _wake(at)
        if not at.held and not at.waiting:
            del self._at[server.address[:2]]  # type: ignore[index]

    def rest(self, server: Server, keepalive: int) -> None:
        """An answer is complete: close what is idle beyond `keepalive`, and make room for those who wait."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at is None or (len(at.held) <= keepalive and not at.waiting):
            return
        idle = sum(1 for s, held in at.held.items() if is_idle(s, held.parent))
        if over := max(idle - keepalive, min(idle, len(at.waiting))):
            self._close_idle(at, over)

    def _close_idle(self, at: _Destination, most: int) -> int:
        """Close up to `most` idle connections, those idle longest first. Returns how many."""
        closed = 0
        for server, held in tuple(at.held.items()):
            if closed == most:
                break
            if is_idle(server, held.parent) and _close(server, held.client_id):
                self.closed(server)
                closed += 1
        return closed


def _wake(at: _Destination) -> None:
    """Let the next in line look whether there is a place for it."""
    while at.waiting:
        free = at.waiting.popleft()
        if not free.done():
            free.set_result(None)
            return


def http_client(child: layer.Layer | None) -> layer.Layer | None:
    """The HTTP client at the bottom of a server connection's layers."""
    while child is not None and not isinstance(child, (Http1Client, Http2Connection)):
        child = getattr(child, "child_layer", None)
    return child


def is_idle(server: Connection, parent: HttpLayer | None) -> bool:
    """Whether a connection is open and no request is under way on it."""
    if parent is None or not server.connected or server in parent.waiting_for_establishment:
        return False
    match http_client(parent.connections.get(server)):
        case Http1Client(stream_id=None):
            return True
        case Http2Connection() as client:
            return not client.streams and not getattr(client, "leaving", False)
        case _:
            return False


def _close(server: Server, client_id: str) -> bool:
    if not internals.cancel(client_id, server, "idle"):
        return False
    server.state = ConnectionState.CLOSED  # at once: no request may choose it any more
    return True
