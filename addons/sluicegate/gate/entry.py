"""Entry: the Exchange of a request whose headers have arrived, and where the request would go by itself."""

from __future__ import annotations

import time

from mitmproxy import http

from sluicegate.core.addresses import canonical_host
from sluicegate.core.formats.surfaces import format_at
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange import cors
from sluicegate.exchange.exchange import Exchange, new_id
from sluicegate.exchange.release import Origin
from sluicegate.gate.policy import Policy
from sluicegate.providers import anthropic
from sluicegate.proxy.listeners import door_of
from sluicegate.proxy.mitmproxy_internals import CLIENT_HOST

__all__ = ["open_exchange"]


def open_exchange(flow: http.HTTPFlow, policy: Policy, credentials: HeaderFields) -> Exchange:
    """The exchange of this flow, with a CORS preflight already answered. It is not attached to the flow yet."""
    request = flow.request
    d = request.data
    path = d.path.decode("ascii", "replace")
    x = Exchange(
        id=new_id(),
        flow=flow,
        policy=policy,
        door=door_of(flow.client_conn, replay=flow.is_replay == "request"),
        format=format_at(d.method.decode("ascii", "replace"), path),
        started=time.monotonic(),
        started_at=time.time(),
        client_credentials=credentials,
        client_host=getattr(request, CLIENT_HOST, ""),
        origin=_origin(flow, policy),
    )
    x.websocket = "upgrade" in request.headers
    x.answer = cors.preflight(x)
    return x


def _origin(flow: http.HTTPFlow, policy: Policy) -> Origin:
    d = flow.request.data
    sni, host = flow.client_conn.sni, canonical_host(d.host)
    if sni and host not in policy.decrypts and canonical_host(sni) in policy.decrypts:
        return True, sni, 443  # CONNECT to an address, TLS to a provider's name
    if host in anthropic.HOSTS:
        return True, d.host, 443  # never in plain text, whatever the tunnel's port
    return d.scheme == b"https", d.host, d.port
