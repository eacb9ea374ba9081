"""Connections to servers, from request to end: which address is allowed, a place in the pool, time limits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Coroutine
from typing import Any, Final, Protocol

from mitmproxy import connection, tls
from mitmproxy.proxy import server_hooks
from mitmproxy.proxy.layers.http import HttpLayer

from sluicegate.core.addresses import address_of, canonical_host, is_local, may_reach
from sluicegate.core.errors import describe
from sluicegate.exchange.private_addresses import PRIVATE_ADDRESS, resolves_to_private
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.connections.descriptors import default_connections
from sluicegate.proxy.connections.pool import POOL_EXHAUSTED, Address, Pool, close
from sluicegate.proxy.connections.timeouts import ConnectTimeouts
from sluicegate.proxy.listeners import door_of
from sluicegate.settings.connections import Connections
from sluicegate.settings.timeouts import Timeouts

__all__ = ["Outbound"]

_REPORT_EVERY_S: Final = 60.0
"""How often it is reported that a destination's connections are all in use."""
Hook = server_hooks.ServerConnectionHookData


class ConnectionPolicy(Protocol):
    """What the configuration in force says about connections."""

    open: bool
    """Whether clients need no key, so that all of them are on this machine."""
    decrypts: frozenset[str]
    """Hosts that the configuration names."""
    speaks_http2: frozenset[tuple[str, int]]
    """Destinations that are offered HTTP/2."""

    def limits_at(self, address: tuple[str, int], *, reverse: bool = False) -> tuple[Timeouts, Connections | None]: ...


class Outbound:
    """Fed by the Chain's server hooks, and by the streams that use connections.

    `policy` gives the one in force, or None; `proxies` holds the addresses of configured upstream proxies; `alarm` takes
    a kind and facts.
    """

    def __init__(
        self,
        policy: Callable[[], ConnectionPolicy | None],
        proxies: Container[tuple[str, int]],
        alarm: Callable[..., None],
    ) -> None:
        self._policy = policy
        self._proxies = proxies
        self._alarm = alarm
        self.timeouts = ConnectTimeouts()
        self.pool = Pool()
        self.default_max = default_connections()
        """Connections to one destination, unless the configuration sets `connections.max`."""
        self._waited: Counter[Address] = Counter()
        self._refused: Counter[Address] = Counter()
        self._reported: dict[Address, float] = {}

    def snapshot(self) -> dict[str, Any]:
        """Open and waiting connections by destination, and how often one had to wait, or got none in time."""
        return {
            f"{f'[{host}]' if ':' in host else host}:{port}": {
                "open": opened,
                "waiting": waiting,
                "waited": self._waited[host, port],
                "refused": self._refused[host, port],
            }
            for (host, port), (opened, waiting) in self.pool.counts(self._waited).items()
        }

    # -- hooks
    def connect(self, data: Hook) -> Coroutine[Any, Any, None] | None:
        """A connection is about to be opened; setting `data.server.error` prevents that."""
        try:
            return self._connect(data)
        except Exception as e:  # noqa: BLE001 - mitmproxy would log it and connect
            self._refuse(data, e)
            return None

    def _refuse(self, data: Hook, e: Exception) -> None:
        self._alarm("chain.server_connect", error=describe(e))
        data.server.error = "internal error in the gate"

    def _connect(self, data: Hook) -> Coroutine[Any, Any, None] | None:
        policy, address = self._policy(), data.server.address
        if policy is None or address is None:
            return None
        if address[:2] in policy.speaks_http2:
            data.server.alpn_offers = (b"h2", b"http/1.1")
        reverse = door_of(data.client) == "reverse"
        timeouts, connections = policy.limits_at(address[:2], reverse=reverse)
        guarded = is_guarded(data, policy, self._proxies)
        most = (connections.max or self.default_max) if connections else None
        if not guarded and (most is None or self._take(data, most)):
            self.timeouts.connecting(data, timeouts)
            return None
        return self._connect_later(data, timeouts, most, guarded=guarded)

    async def _connect_later(self, data: Hook, timeouts: Timeouts, most: int | None, *, guarded: bool) -> None:
        try:
            address = data.server.address
            assert address
            if guarded and await resolves_to_private(address[0], address[1]):
                data.server.error = PRIVATE_ADDRESS
            elif most is not None and not self._take(data, most):
                await self._wait(data, most, timeouts.pool_s)
            if data.server.error is None:
                self.timeouts.connecting(data, timeouts)
        except Exception as e:  # noqa: BLE001 - the address was not checked: do not connect
            self._refuse(data, e)

    async def _wait(self, data: Hook, most: int, pool_s: float) -> None:
        assert data.server.address
        at = data.server.address[:2]
        self._waited[at] += 1
        now = time.monotonic()
        if now - self._reported.get(at, -_REPORT_EVERY_S) >= _REPORT_EVERY_S:
            self._reported[at] = now
            self._alarm("connections.full", destination=f"{at[0]}:{at[1]}", most=most, key="connections.max")
        await self.pool.wait(data, most, pool_s)
        if data.server.error and data.server.error.startswith(POOL_EXHAUSTED):
            self._refused[at] += 1

    def _take(self, data: Hook, most: int) -> bool:
        taken = self.pool.take(data, most)
        close(taken.to_close)
        return taken.granted

    def connected(self, data: Hook) -> None:
        """The TCP connection is established."""
        if is_guarded(data, self._policy(), self._proxies):
            ip = address_of(data.server.peername)  # the name may have changed its address since it was resolved
            if ip is None or not may_reach(ip):
                internals.abort(data.client.id, data.server)
                return
        self.timeouts.connected(data)

    def failed(self, data: Hook) -> None:
        """The connection could not be opened."""
        self.timeouts.done(data.server)
        self.pool.closed(data.server)

    async def disconnected(self, data: Hook) -> None:
        """The connection has ended."""
        self.pool.closed(data.server)
        await self.timeouts.disconnected(data)

    def tls_done(self, data: tls.TlsData) -> None:
        """Its TLS handshake is over, well or not."""
        self.timeouts.done(data.conn)

    # -- streams
    def used(self, server: connection.Server, parent: HttpLayer) -> None:
        """A stream is about to send a request over a connection."""
        self.pool.used(server, parent)

    def rests(self, server: connection.Server) -> None:
        """A stream is done with a connection."""
        policy = self._policy()
        if policy is not None and server.address is not None:
            _, connections = policy.limits_at(server.address[:2], reverse=True)
            if connections is not None:
                close(self.pool.rest(server, connections.keepalive))


def is_guarded(data: Hook, policy: ConnectionPolicy | None, proxies: Container[tuple[str, int]]) -> bool:
    """Whether a client of another machine chose where a connection goes, so that it must not reach a private address."""
    address = data.server.address
    return (
        policy is not None
        and not policy.open
        and address is not None
        and door_of(data.client) in ("regular", "upstream")
        and not is_local(data.client.peername)
        and canonical_host(address[0]) not in policy.decrypts
        and tuple(address[:2]) not in proxies
    )
