"""The doors (listeners): who may connect, which TLS is decrypted, and what must not pass as raw bytes."""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from mitmproxy import connection, http, tls
from mitmproxy.proxy import layer, mode_specs
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode

from sluicegate.core.addresses import canonical_host, is_local
from sluicegate.core.errors import Refused
from sluicegate.core.identity.caller import proxy_password
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.private_addresses import PRIVATE_ADDRESS, resolves_to_private
from sluicegate.gate.policy import Policy
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.layer import GateLayer, adopt
from sluicegate.proxy.listeners import door_of
from sluicegate.proxy.port import GatePort

__all__ = [
    "NO_POLICY",
    "allow_connections",
    "let_through",
    "next_layer",
    "opens_tls",
    "reject_remote_client",
]

NO_POLICY: Final = "no valid configuration loaded; all requests are denied. The log names the file, the line and the key"


class Rejection(NamedTuple):
    """Why a connection is not accepted, and what to do instead."""

    why: str
    instead: str


def reject_remote_client(client: connection.Client, policy: Policy | None) -> Rejection | None:
    """Whether a connection may not even send a request; the caller drops it.

    Without identity: what did not arrive on loopback. With keys: what comes by a door where no client can present one.
    """
    if policy is None or policy.open:
        if is_local(client.sockname):
            return None
        return Rejection(
            "connections from other machines need identity.mode keys or passthrough",
            "bind to 127.0.0.1 (--listen-host) to stop offering the port",
        )
    if policy.settings.identity.mode == "keys" and not _can_ask(client):
        return Rejection(
            "identity.mode is keys, and this kind of door cannot ask for one",
            "use mode reverse:http(s), regular or upstream",
        )
    return None


def _can_ask(client: connection.Client) -> bool:
    mode = client.proxy_mode
    if isinstance(mode, mode_specs.ReverseMode):
        return mode.scheme in ("http", "https")
    return door_of(client) in ("regular", "upstream")


async def let_through(flow: http.HTTPFlow, policy: Policy | None, presented: HeaderFields) -> bytes:
    """A CONNECT: the hash of the key that opens this tunnel, b"" if none is required. Raises Refused."""
    if policy is None:
        raise Refused(503, NO_POLICY, kind="api_error")
    digest = b""
    if policy.settings.identity.mode == "keys":
        assert policy.identity, "the stage that asks for keys is always there"
        digest, _ = policy.identity.authenticator.by_proxy_password(proxy_password(presented))
    host = canonical_host(flow.request.host)
    if host in policy.decrypts or policy.open or is_local(flow.client_conn.peername):
        return digest
    if await resolves_to_private(host, flow.request.port):
        raise Refused(403, PRIVATE_ADDRESS)
    return digest


def allow_connections(client: connection.Client, most: int) -> None:
    """Set how many connections a client's requests may hold open to one address at a time.

    With mitmproxy's default of 5, the sixth concurrent HTTP/2 stream waits for another one to end.
    """
    internals.limit_connections(client.id, lambda: asyncio.Semaphore(most))


def opens_tls(data: tls.ClientHelloData, policy: Policy | None) -> bool:
    """Whether to decrypt this TLS. On the regular and upstream doors: only a provider's, by CONNECT host or by SNI."""
    if door_of(data.context.client) not in ("regular", "upstream"):
        return True
    address = data.context.server.address
    if address is None:  # TLS to the gate itself: a client that speaks TLS to its proxy
        return True
    names = {canonical_host(address[0]), canonical_host(data.client_hello.sni or "")}
    return policy is not None and not names.isdisjoint(policy.decrypts)


def next_layer(nextlayer: layer.NextLayer, policy: Policy | None, port: GatePort) -> None:
    """Put HTTP under the seal; where HTTP is expected, do not pass raw bytes."""
    adopt(nextlayer, port)
    chosen, context = nextlayer.layer, nextlayer.context
    if type(chosen) is TCPLayer and _expects_http(context, policy):
        if chosen in context.layers:
            context.layers.remove(chosen)
        nextlayer.layer = GateLayer(context, HTTPMode.transparent, port)


def _expects_http(context: Any, policy: Policy | None) -> bool:
    mode = context.client.proxy_mode
    if isinstance(mode, mode_specs.ReverseMode):
        return mode.scheme in ("http", "https")
    names = {canonical_host(context.client.sni or ""), canonical_host((context.server.address or ("",))[0])}
    return policy is None or not names.isdisjoint(policy.decrypts)
