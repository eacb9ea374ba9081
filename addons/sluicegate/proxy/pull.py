"""Reading a body that arrives over time: the pace is the client's."""

from __future__ import annotations

from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["wait_for_body"]


async def wait_for_body(x: Exchange, source: ByteSource) -> None:
    """Wait until the client's buffers have drained, then for bytes, or for the client to leave."""
    handler = internals.handler_of(x.flow.client_conn.id)
    if handler:
        await handler.drain_writers()
    await x.life.wait_for(source.wait())
