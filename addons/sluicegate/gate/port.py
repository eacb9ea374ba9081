"""The gate as the proxy core sees it (proxy/port.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy.layers.http import HttpLayer

from sluicegate.exchange.upstream_proxy import UpstreamProxy
from sluicegate.proxy.connections.outbound import Outbound
from sluicegate.services.services import Services

__all__ = ["ChainPort"]


@dataclass(frozen=True, slots=True)
class ChainPort:
    """Implements `GatePort` with the Chain's own parts."""

    services: Services
    outbound: Outbound
    on_crash: Callable[[http.HTTPFlow], None]

    @property
    def via(self) -> UpstreamProxy | None:
        return self.services.via

    def via_auth(self, address: tuple[str, int] | None) -> bytes | None:
        return self.services.via_auth(address)

    def connection_used(self, server: Server, layer: HttpLayer) -> None:
        self.outbound.used(server, layer)

    def connection_rests(self, server: Server) -> None:
        self.outbound.rests(server)

    def stream_crashed(self, flow: http.HTTPFlow) -> None:
        self.on_crash(flow)
