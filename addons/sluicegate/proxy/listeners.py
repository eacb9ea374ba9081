"""The doors (listeners) that clients come in by."""

from __future__ import annotations

from mitmproxy.connection import Client
from mitmproxy.proxy import mode_specs

from sluicegate.exchange.exchange import Door

__all__ = ["door_of"]


def door_of(client: Client, *, replay: bool = False) -> Door:
    """The door that a client came in by."""
    if replay:
        return "replay"
    mode = client.proxy_mode
    if isinstance(mode, mode_specs.ReverseMode):
        return "reverse"
    if isinstance(mode, mode_specs.UpstreamMode):
        return "upstream"
    return "regular" if isinstance(mode, mode_specs.RegularMode) else "other"
