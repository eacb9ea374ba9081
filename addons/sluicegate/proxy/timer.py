"""Timers of streams that can be cancelled.

mitmproxy's own wakeups are tasks that sleep to their end, which for a stream's time limits would be five minutes each.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from mitmproxy.connection import Client
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream

from sluicegate.proxy import mitmproxy_internals as internals

__all__ = ["Timer"]


class Timer:
    """Sends a stream `events.Wakeup` with the command `wake` after a while."""

    __slots__ = ("_fired", "_sources", "_timer", "wake")
    _tasks: ClassVar[set[asyncio.Task[None]]] = set()
    _sources: list[dict[commands.Command, layer.Layer]]

    def __init__(self, stream: HttpStream, delay_s: float) -> None:
        self.wake = commands.RequestWakeup(delay_s)
        self._sources = []
        self._fired = False
        layers = stream.context.layers
        for i, outer in enumerate(layers):  # each HTTP layer on the way (a CONNECT tunnel is one) looks up where to pass it
            if isinstance(outer, HttpLayer):
                outer.command_sources[self.wake] = next(x for x in layers[i + 1 :] if isinstance(x, HttpStream))
                self._sources.append(outer.command_sources)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire, stream.context.client)

    def _fire(self, client: Client) -> None:
        handler = internals.handler_of(client.id)
        if handler is not None and handler.client is client:
            self._fired = True
            task = asyncio.get_running_loop().create_task(handler.server_event(events.Wakeup(self.wake)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        self._timer.cancel()
        if not self._fired:  # else the event is on its way, and HttpLayer needs the entry to route it
            for sources in self._sources:
                sources.pop(self.wake, None)
