"""mitmproxy's replay, under the seal: a replayed flow enters the Chain as a new request.

Stock replay builds its HTTP layer itself, so no `next_layer` hook could put the seal there. The addon that replays is
re-classed, in place, to one that puts it there.
"""

from __future__ import annotations

import logging
import uuid

from mitmproxy import ctx
from mitmproxy.addons import clientplayback
from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.utils import asyncio_utils

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.layer import GateLayer
from sluicegate.proxy.port import GatePort

__all__ = ["adopt_playback"]

log = logging.getLogger(__name__)


class GateReplayHandler(clientplayback.ReplayHandler):
    def __init__(self, flow: HTTPFlow, options: Options, port: GatePort) -> None:
        super().__init__(flow, options)
        GateLayer.adopt(self.layer, port)
        # an id of its own: the flow's client may still be connected, and timers find handlers by the client's id
        (replayed,) = self.layer.connections.values()
        self.client.id = str(uuid.uuid4())
        self.layer.connections = {self.client: replayed}  # keyed by the id

    async def replay(self) -> None:
        handlers = internals.handlers()
        handlers[self.client.id] = self
        try:
            await super().replay()
        finally:
            handlers.pop(self.client.id, None)


class GatePlayback(clientplayback.ClientPlayback):
    """Stock playback, one flow after the other or all at once, through GateReplayHandler."""

    name = "clientplayback"
    port: GatePort

    async def playback(self) -> None:
        while True:
            self.inflight = await self.queue.get()
            try:
                assert self.inflight is not None
                handler = GateReplayHandler(self.inflight, self.options, self.port)
                if ctx.options.client_replay_concurrency == -1:
                    task = asyncio_utils.create_task(handler.replay(), name="replay", keep_ref=True)
                    self.replay_tasks.add(task)
                    task.add_done_callback(self.replay_tasks.discard)
                else:
                    await handler.replay()
            except Exception:
                log.exception("a replay failed")
            self.queue.task_done()
            self.inflight = None


def adopt_playback(port: GatePort) -> None:
    """Put the running master's replay under the seal. Safe to call again."""
    addon = ctx.master.addons.get("clientplayback")
    if type(addon) is not clientplayback.ClientPlayback:
        return
    addon.__class__ = GatePlayback
    addon.__dict__["port"] = port
    if addon.playback_task:  # it already runs, in stock code
        addon.playback_task.cancel()
        addon.running()
