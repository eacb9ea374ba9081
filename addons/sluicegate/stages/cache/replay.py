"""Replays a cached answer: the recorded bytes, at once or at the pace at which they were recorded."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from mitmproxy import http

from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.fast_messages import fast_response
from sluicegate.stores.cache.base import Entry

__all__ = ["replay"]

_MAX_PAUSE_S: Final = 10.0
_tasks: set[asyncio.Task[None]] = set()


def replay(entry: Entry, pace: float) -> tuple[http.Response, ByteSource]:
    """The response, and the source of its body. It passes the taps like any answer, so hidden values are restored.

    `pace`: 0 sends the body at once; otherwise a stream's recorded pauses are multiplied by it.
    """
    fields = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in entry.head.headers]
    fields.append((b"age", b"%d" % max(0, time.time() - entry.created)))
    paced = pace and entry.head.stream and len(entry.head.timing) > 1
    if not paced:
        fields.append((b"content-length", b"%d" % len(entry.body)))
    response = fast_response(200, b"OK", tuple(fields), time.time())
    source = ByteSource(limit=len(entry.body) + 1)
    if paced:
        task = asyncio.get_running_loop().create_task(_send_paced(entry, pace, source))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    else:
        source.write(entry.body)
        source.close()
    return response, source


async def _send_paced(entry: Entry, pace: float, source: ByteSource) -> None:
    offset, last_ms = 0, entry.head.timing[0][0]
    for ms, size in entry.head.timing:
        if (pause_s := (ms - last_ms) / 1000 * pace) > 0:
            await asyncio.sleep(min(pause_s, _MAX_PAUSE_S))
            last_ms = ms
        if source.closed:  # the client has disconnected
            return
        source.write(entry.body[offset : offset + size])
        offset += size
    source.write(entry.body[offset:])
    source.close()
