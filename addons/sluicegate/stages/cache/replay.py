"""A kept answer, given again: the recorded bytes, at once or at the pace at which they came."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from mitmproxy import http

from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.fast_messages import lean_response
from sluicegate.stores.cache.base import Entry

__all__ = ["replay"]

_MAX_PAUSE_S: Final = 10.0
_tasks: set[asyncio.Task[None]] = set()


def replay(entry: Entry, pace: float) -> tuple[http.Response, ByteSource]:
    """The answer, and the source of its body: it passes the taps as any other, so what was hidden is restored.

    `pace`: 0 for at once; else how long it takes in terms of the recording, for streams.
    """
    fields = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in entry.head.headers]
    fields.append((b"age", b"%d" % max(0, time.time() - entry.created)))
    paced = pace and entry.head.stream and len(entry.head.timing) > 1
    if not paced:
        fields.append((b"content-length", b"%d" % len(entry.body)))
    response = lean_response(200, b"OK", tuple(fields), time.time())
    source = ByteSource(limit=len(entry.body) + 1)
    if paced:
        task = asyncio.get_running_loop().create_task(_paced(entry, pace, source))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    else:
        source.write(entry.body)
        source.close()
    return response, source


async def _paced(entry: Entry, pace: float, source: ByteSource) -> None:
    at, told = 0, entry.head.timing[0][0]
    for ms, size in entry.head.timing:
        if (pause_s := (ms - told) / 1000 * pace) > 0:
            await asyncio.sleep(min(pause_s, _MAX_PAUSE_S))
            told = ms
        if source.closed:  # the client has gone
            return
        source.write(entry.body[at : at + size])
        at += size
    source.write(entry.body[at:])
    source.close()
