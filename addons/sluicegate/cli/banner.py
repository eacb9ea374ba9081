"""The addresses that `sluicegate run` prints when the gate listens."""

from __future__ import annotations

from typing import Any

from mitmproxy import ctx
from mitmproxy.proxy import mode_specs

from sluicegate.cli.running import ANY, address_of_door
from sluicegate.core.addresses import host_port
from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["Banner"]


class Banner:
    """A mitmproxy addon that prints the address of each door (listener)."""

    name = "sluicegate_banner"

    def __init__(self, target: str, upstream: Any) -> None:
        self.target = target
        self.upstream = upstream

    def running(self) -> None:
        lines = ["sluicegate is open"]
        for server in internals.listeners():
            for host, port, *_ in server.listen_addrs[:1]:
                at = f"http://{host_port(*address_of_door({'host': host, 'port': port}))}"
                others = f"   (all addresses: {host_port(host, port)})" if host in ANY else ""
                if isinstance(server.mode, mode_specs.ReverseMode):
                    lines.append(f"  reverse  {at}   ANTHROPIC_BASE_URL={at}{others}")
                else:
                    lines.append(f"  regular  {at}   sluicegate exec -- claude{others}")
        if self.upstream:
            scheme, (host, port) = self.upstream
            lines.append(f"  through  {scheme}://{host_port(host, port)}")
        if url := getattr(ctx.master, "web_url", None):
            lines.append(f"  mitmweb  {url}")
        print("\n".join(lines), flush=True)
