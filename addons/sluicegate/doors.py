"""The doors: who may connect, which TLS is opened, and what may not pass as raw bytes."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from mitmproxy import connection, ctx, tls
from mitmproxy.proxy import layer, mode_specs
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode

from sluicegate.exchange import Door
from sluicegate.policy import Policy
from sluicegate.upstream.layer import GateLayer, adopt

__all__ = ["allow_connections", "door_of", "is_local", "keep_out_strangers", "next_layer", "opens_tls"]


def door_of(client: connection.Client, *, replay: bool = False) -> Door:
    """Which door a client came in by."""
    if replay:
        return "replay"
    mode = client.proxy_mode
    if isinstance(mode, mode_specs.ReverseMode):
        return "reverse"
    if isinstance(mode, mode_specs.UpstreamMode):
        return "upstream"
    return "regular" if isinstance(mode, mode_specs.RegularMode) else "other"


def is_local(address: Any) -> bool:
    """Whether a socket address is this machine's loopback."""
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except (ValueError, TypeError, IndexError):
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)


def keep_out_strangers(client: connection.Client, policy: Policy | None) -> bool:
    """Without identity, a connection that did not arrive on loopback is dropped. True: it was."""
    if (policy and not policy.open) or is_local(client.sockname):
        return False
    client.error = (
        "sluicegate: connections from other machines need identity.mode keys or passthrough; "
        "bind to 127.0.0.1 (--listen-host) to stop offering the port"
    )
    return True


def allow_connections(client: connection.Client, most: int) -> None:
    """How many connections a client's requests may hold open to one address at a time.

    mitmproxy's own five would make the sixth of many concurrent HTTP/2 streams wait for another one to end.
    """
    handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
    if handler is not None:
        handler.max_conns.default_factory = lambda: asyncio.Semaphore(most)


def opens_tls(data: tls.ClientHelloData, policy: Policy | None) -> bool:
    """Regular and upstream door: whether this TLS is a provider's, by CONNECT host or by SNI."""
    if door_of(data.context.client) not in ("regular", "upstream"):
        return True
    address = data.context.server.address
    if address is None:  # TLS towards ourselves: a client that speaks TLS to its proxy
        return True
    names = {address[0].lower().rstrip("."), (data.client_hello.sni or "").lower().rstrip(".")}
    return policy is not None and not names.isdisjoint(policy.decrypts)


def next_layer(nextlayer: layer.NextLayer, policy: Policy | None) -> None:
    """Put HTTP under the seal; where HTTP is due, do not let raw bytes through instead."""
    adopt(nextlayer)
    chosen, context = nextlayer.layer, nextlayer.context
    if type(chosen) is TCPLayer and _http_is_due(context, policy):
        if chosen in context.layers:
            context.layers.remove(chosen)
        nextlayer.layer = GateLayer(context, HTTPMode.transparent)


def _http_is_due(context: Any, policy: Policy | None) -> bool:
    mode = context.client.proxy_mode
    if isinstance(mode, mode_specs.ReverseMode):
        return mode.scheme in ("http", "https")
    names = {(context.client.sni or "").lower(), (context.server.address or ("",))[0].lower()}
    return policy is None or not names.isdisjoint(policy.decrypts)
