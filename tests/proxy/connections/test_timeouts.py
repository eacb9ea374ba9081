"""proxy/connections/timeouts.py: connecting and the TLS handshake have a time limit each; a lost close is repaired."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import events
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.connections import timeouts
from sluicegate.proxy.connections.timeouts import ConnectTimeouts
from sluicegate.settings.timeouts import Timeouts

LIMITS = Timeouts(connect_s=0.01, tls_s=0.02)


class Connecting:
    """A client with a connection that is being opened, as mitmproxy has it."""

    def __init__(self) -> None:
        self.cancelled = asyncio.get_running_loop().create_future()
        self.told: list[Any] = []
        self.server = Server(address=("api.test", 443))
        self.server.timestamp_start = 1.0
        client = tflow.tclient_conn()
        client.timestamp_end = None
        self.data = ServerConnectionHookData(server=self.server, client=client)
        self.writer = SimpleNamespace(closed=False)
        self.writer.close = lambda: setattr(self.writer, "closed", True)
        io = SimpleNamespace(handler=SimpleNamespace(cancel=self._cancel), writer=self.writer)
        self.handler = SimpleNamespace(transports={self.server: io}, server_event=self._event)
        internals.handlers()[client.id] = self.handler

    def _cancel(self, why: str) -> None:
        if not self.cancelled.done():
            self.cancelled.set_result(why)

    async def _event(self, event: events.Event) -> None:
        self.told.append(event)


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found: dict[Any, Any] = {}
    monkeypatch.setattr(internals, "handlers", lambda: found)
    return


async def test_a_connection_that_is_not_established_in_time() -> None:
    """It is cancelled, with an error that says what took too long."""
    limits, connecting = ConnectTimeouts(), Connecting()
    limits.connecting(connecting.data, LIMITS)
    assert await connecting.cancelled == connecting.server.error == "connect timeout after 0.01 s"


async def test_tls_has_its_own_time() -> None:
    """It begins when the TCP connection is established."""
    limits, connecting = ConnectTimeouts(), Connecting()
    connecting.server.tls = True
    limits.connecting(connecting.data, LIMITS)
    limits.connected(connecting.data)
    assert await connecting.cancelled == "TLS handshake timeout after 0.02 s"


@pytest.mark.parametrize("how", ["no tls", "tls done", "failed", "client gone"])
async def test_what_is_done_in_time_is_left_alone(how: str) -> None:
    """No timer remains; one whose client has gone does nothing."""
    limits, connecting = ConnectTimeouts(), Connecting()
    connecting.server.tls = how != "no tls"
    limits.connecting(connecting.data, LIMITS)
    match how:
        case "failed":
            limits.done(connecting.server)
        case "client gone":
            internals.handlers().clear()
        case _:
            limits.connected(connecting.data)
            if how == "tls done":
                limits.done(connecting.server)
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.03, later.set)  # after all of the limits
    await later.wait()
    assert not connecting.cancelled.done()
    assert connecting.server.error is None
    assert limits._pending == {}


async def test_one_that_still_waits_for_a_free_slot_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled then, its end would never be reported."""
    monkeypatch.setattr(timeouts, "_QUEUED_S", 0.001)
    limits, connecting = ConnectTimeouts(), Connecting()
    connecting.server.timestamp_start = None
    limits.connecting(connecting.data, LIMITS)
    rung = asyncio.Event()
    asyncio.get_running_loop().call_later(0.012, rung.set)
    await rung.wait()
    assert not connecting.cancelled.done()
    connecting.server.timestamp_start = 1.0
    assert await connecting.cancelled == "connect timeout after 0.01 s"


async def test_a_lost_close_is_repaired() -> None:
    """The transport has ended and the core takes the connection for open: its layers are told."""
    limits, connecting = ConnectTimeouts(), Connecting()
    connecting.server.state = ConnectionState.OPEN
    await limits.disconnected(connecting.data)
    assert connecting.server.state is ConnectionState.CLOSED
    assert [type(event) for event in connecting.told] == [events.ConnectionClosed]
    assert connecting.handler.transports == {}
    assert connecting.writer.closed
    await limits.disconnected(connecting.data)  # known by now: nothing more is said
    assert len(connecting.told) == 1
