"""Connections to providers, over all clients: how many may be open, who waits for one, and which idle ones are closed.

mitmproxy gives every client connection server connections of its own; there is no shared pool (with TLS upstream a
client's first request pays for that, its later ones do not). What is bounded here is their number per destination:

    max         open at one time. A further one waits up to pool_s, and idle ones of other clients are closed for it
    keepalive   idle at one time. The one that has been idle longest is closed
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.proxy.layers.http import Http1Client, HttpLayer

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.mitmproxy_internals import Http2Connection

__all__ = ["POOL_EXHAUSTED", "Address", "Idle", "Pool", "Taken", "close", "http_client", "is_idle"]

POOL_EXHAUSTED: Final = "no free connection"
"""How the error of a connection begins that was not opened because all places were taken."""

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class Idle:
    """An open connection without a request, to be closed by the caller (`close`)."""

    server: Server
    client_id: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a new connection got a place, and which idle ones are closed to make room."""

    granted: bool
    to_close: Sequence[Idle] = ()


@dataclass(slots=True)
class _Held:
    """A connection that takes a place."""

    client_id: str
    parent: HttpLayer | None = None
    """The layer that sends requests over it, once it has been used."""


@dataclass(slots=True, eq=False)
class _Waiter:
    server: Server
    client_id: str
    most: int
    granted: asyncio.Future[None]


@dataclass(slots=True)
class _Destination:
    held: dict[Server, _Held] = field(default_factory=dict)
    """In the order of their last use."""
    waiting: deque[_Waiter] = field(default_factory=deque)


class Pool:
    """Places for connections, by destination. Fed by the Chain's server hooks and by the streams.

    It decides and does no I/O: what is to be closed is returned, and has lost its place already.
    """

    def __init__(self) -> None:
        self._at: dict[Address, _Destination] = {}

    def open_to(self, address: Address) -> int:
        """How many connections to a destination are open, or being opened."""
        found = self._at.get(address)
        return len(found.held) if found else 0

    def counts(self, more: Iterable[Address] = ()) -> dict[Address, tuple[int, int]]:
        """Connections held, and requests that wait for one, by destination; 0 for those of `more` that have none."""
        counted = {address: (len(at.held), len(at.waiting)) for address, at in self._at.items()}
        return {**dict.fromkeys(more, (0, 0)), **counted}

    # -- opening
    def take(self, data: server_hooks.ServerConnectionHookData, most: int) -> Taken:
        """A place for a connection that is about to be opened. Not granted: `wait` for one."""
        server = data.server
        assert server.address
        at = self._at.setdefault(server.address[:2], _Destination())
        idle = self._take_from_idle(at, 1) if len(at.held) >= most else ()
        _assign(at)  # first come, first served
        if len(at.held) >= most or at.waiting:
            return Taken(False, idle)
        at.held[server] = _Held(data.client.id)
        return Taken(True, idle)

    async def wait(self, data: server_hooks.ServerConnectionHookData, most: int, pool_s: float) -> None:
        """Wait for a place, first come first served; after `pool_s` the connection gets an error instead."""
        server = data.server
        assert server.address
        at = self._at.setdefault(server.address[:2], _Destination())
        waiter = _Waiter(server, data.client.id, most, asyncio.get_running_loop().create_future())
        at.waiting.append(waiter)
        _assign(at)
        try:
            await asyncio.wait_for(waiter.granted, pool_s)
        except TimeoutError:
            if server in at.held:
                return  # granted at the last moment
            server.error = f"{POOL_EXHAUSTED} within {pool_s:g} s: {most} are in use (config key connections.max)"
        except asyncio.CancelledError:  # the client has left
            self.closed(server)
            raise
        finally:
            if waiter in at.waiting:
                at.waiting.remove(waiter)

    def used(self, server: Server, parent: HttpLayer) -> None:
        """A request is about to be sent over a connection."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at and (held := at.held.pop(server, None)):
            held.parent = parent
            at.held[server] = held  # the last used comes last

    # -- closing
    def closed(self, server: Server) -> None:
        """A connection has ended, or was never opened. The one that has waited longest gets its place."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at is None or at.held.pop(server, None) is None:
            return
        _assign(at)
        if not at.held and not at.waiting:
            del self._at[server.address[:2]]  # type: ignore[index]

    def rest(self, server: Server, keepalive: int) -> Sequence[Idle]:
        """An answer is complete: what is idle beyond `keepalive`, or keeps others waiting, is to be closed."""
        at = self._at.get(server.address[:2]) if server.address else None
        if at is None or (len(at.held) <= keepalive and not at.waiting):
            return ()
        idle = sum(1 for s, held in at.held.items() if is_idle(s, held.parent))
        over = max(idle - keepalive, min(idle, len(at.waiting)))
        found = self._take_from_idle(at, over) if over else ()
        _assign(at)
        return found

    @staticmethod
    def _take_from_idle(at: _Destination, most: int) -> Sequence[Idle]:
        """Take their places from up to `most` idle connections, those idle longest first."""
        idle = [Idle(s, held.client_id) for s, held in at.held.items() if is_idle(s, held.parent)][:most]
        for connection in idle:
            del at.held[connection.server]
        return idle


def _assign(at: _Destination) -> None:
    """Give free places to those who wait, in their order. They hold them from now on: no later one can take them."""
    while at.waiting:
        first = at.waiting[0]
        if not first.granted.done():
            if len(at.held) >= first.most:
                return
            at.held[first.server] = _Held(first.client_id)
            first.granted.set_result(None)
        at.waiting.popleft()


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


def close(connections: Iterable[Idle]) -> None:
    """Close connections that the pool has given up."""
    for idle in connections:
        idle.server.state = ConnectionState.CLOSED  # at once: no request may choose it any more
        internals.cancel(idle.client_id, idle.server, "idle")
