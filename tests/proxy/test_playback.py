"""proxy/playback.py: a replay goes through a GateLayer, with an id of its own."""

from __future__ import annotations

from typing import Any

from mitmproxy.addons.clientplayback import ClientPlayback
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import taddons, tflow

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.layer import GateLayer
from sluicegate.proxy.playback import GatePlayback, GateReplayHandler, adopt_playback

PORT: Any = object()


async def test_the_running_replay_is_put_under_the_seal() -> None:
    """In place; a second time changes nothing."""
    stock = ClientPlayback()
    with taddons.context(Proxyserver(), stock, loadcore=False):
        adopt_playback(PORT)
        assert type(stock) is GatePlayback
        adopt_playback(object())  # type: ignore[arg-type]
        assert stock.port is PORT


async def test_a_master_without_replay_is_left_as_it_is() -> None:
    """mitmproxy may run without that addon."""
    with taddons.context(Proxyserver(), loadcore=False):
        adopt_playback(PORT)


async def test_a_replay_passes_the_seal_under_an_id_of_its_own() -> None:
    """Its layer is a GateLayer that knows the gate; timers find it by its id only while it runs."""
    with taddons.context(Proxyserver(), loadcore=False) as running:
        flow = tflow.tflow()
        handler = GateReplayHandler(flow, running.options, PORT)
        assert isinstance(handler.layer, GateLayer)
        assert handler.layer.port is PORT
        assert handler.client.id != flow.client_conn.id
        assert list(handler.layer.connections) == [handler.client]
        during: list[Any] = []

        async def event(_: Any) -> None:
            during.append(internals.handler_of(handler.client.id))
            handler.done.set()

        handler.server_event = event  # type: ignore[method-assign]
        await handler.replay()
        assert during == [handler]
        assert internals.handler_of(handler.client.id) is None
