"""What the proxy core asks of the gate: handed to each GateLayer when it is made, and found by its streams there."""

from __future__ import annotations

from typing import Protocol

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy.layers.http import HttpLayer

from sluicegate.exchange.upstream_proxy import UpstreamProxy

__all__ = ["GatePort"]


class GatePort(Protocol):
    """Implemented by the gate (gate/port.py); a test hands in a fake."""

    @property
    def via(self) -> UpstreamProxy | None:
        """The proxy that all requests leave through, if there is one."""
        ...

    def via_auth(self, address: tuple[str, int] | None) -> bytes | None:
        """The Proxy-Authorization value for a proxy's address, or None."""
        ...

    def connection_used(self, server: Server, layer: HttpLayer) -> None:
        """A stream is about to send a request over a connection of this layer."""
        ...

    def connection_rests(self, server: Server) -> None:
        """A connection has no request under way any more."""
        ...

    def stream_crashed(self, flow: http.HTTPFlow) -> None:
        """A bug ended this flow's stream: the exchange is settled now, as no hook will follow."""
        ...
