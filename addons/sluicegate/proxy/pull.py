"""Reading a body that arrives over time: the pace is the client's."""

from __future__ import annotations

import asyncio

from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["wait_for_body"]


async def wait_for_body(x: Exchange, source: ByteSource) -> None:
    """Wait until the client's buffers have drained, then for bytes, or for the client to leave."""
    handler = internals.handler_of(x.flow.client_conn.id)
    if handler:
        await handler.drain_writers()
    ready = asyncio.ensure_future(source.wait())
    gone = asyncio.ensure_future(x.life.until_gone())
    try:
        await asyncio.wait({ready, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        gone.cancel()
