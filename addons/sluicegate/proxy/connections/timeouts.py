"""Connect and TLS timeouts towards servers: mitmproxy has none and would wait for the operating system's, minutes."""

from __future__ import annotations

import asyncio
from typing import Any

from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import server_hooks
from mitmproxy.tls import TlsData

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.settings.timeouts import Timeouts

__all__ = ["ConnectTimeouts"]

_QUEUED_S = 0.2


class ConnectTimeouts:
    """Cancels connection attempts that take too long. Fed by the server hooks of the Chain."""

    def __init__(self) -> None:
        self._pending: dict[Server, asyncio.TimerHandle] = {}
        self._tls_s: dict[Server, float] = {}

    def connecting(self, data: server_hooks.ServerConnectionHookData, timeouts: Timeouts) -> None:
        self._tls_s[data.server] = timeouts.tls_s
        self._arm(data, timeouts.connect_s, "connect")

    def connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """TCP connection established; TLS, if any, gets its own time."""
        tls_s = self._tls_s.get(data.server)
        self.done(data.server)
        if data.server.tls and tls_s is not None:
            self._arm(data, tls_s, "TLS handshake")

    def _arm(self, data: server_hooks.ServerConnectionHookData, delay_s: float, what: str) -> None:
        loop = asyncio.get_running_loop()
        server = data.server

        def expire() -> None:
            self._pending.pop(server, None)
            if not internals.is_served(data.client.id, server):
                return
            if server.timestamp_start is None:
                # still waiting for a free slot: cancelling now would never be reported to the stream
                self._pending[server] = loop.call_later(_QUEUED_S, expire)
                return
            server.error = f"{what} timeout after {delay_s:g} s"
            internals.cancel(data.client.id, server, server.error)

        self._pending[server] = loop.call_later(delay_s, expire)

    def done(self, server: Any) -> None:
        """The attempt is over, successful or not."""
        self._tls_s.pop(server, None)
        if timer := self._pending.pop(server, None):
            timer.cancel()

    def tls_done(self, data: TlsData) -> None:
        self.done(data.conn)

    async def disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Repair a lost close (mitmproxy#5034): the transport has ended, and the core still takes it for open."""
        self.done(data.server)
        if data.server.state is ConnectionState.CLOSED or data.client.timestamp_end is not None:
            return
        data.server.state = ConnectionState.CLOSED
        await internals.drop_lost(data.client.id, data.server)
