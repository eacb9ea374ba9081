"""proxy/connections/pool.py: places per destination, who waits for one, and which idle connections give theirs up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import Http1Client, HttpLayer, HTTPMode
from mitmproxy.proxy.layers.tls import ServerTLSLayer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from sluicegate.proxy.connections import pool as pool_module
from sluicegate.proxy.connections.pool import POOL_EXHAUSTED, Idle, Pool, close, http_client, is_idle
from sluicegate.proxy.mitmproxy_internals import Http2Connection

AT = ("api.test", 443)


class Connecting:
    """One client that opens a connection to the same place as all others."""

    def __init__(self, address: tuple[str, int] = AT) -> None:
        self.client: Client = tflow.tclient_conn()
        self.server = Server(address=address)
        self.data = ServerConnectionHookData(server=self.server, client=self.client)
        opts = options.Options()
        Proxyserver().load(opts)  # type: ignore[arg-type]
        context = Context(self.client, opts)
        context.server = self.server
        self.layer = HttpLayer(context, HTTPMode.transparent)
        self.http = Http1Client(context)
        self.layer.connections[self.server] = self.http

    def open(self, pool: Pool) -> Connecting:
        """It is open, and a request goes over it."""
        self.server.state = ConnectionState.OPEN
        self.http.stream_id = 1
        pool.used(self.server, self.layer)
        return self

    def rest(self) -> Connecting:
        self.http.stream_id = None
        return self


async def turns(n: int = 5) -> None:
    """Let other tasks run."""
    for _ in range(n):
        await asyncio.sleep(0)


async def test_places_are_counted_by_destination() -> None:
    """Up to the number; another host, and another port, have places of their own."""
    pool = Pool()
    assert pool.take(Connecting().data, 2).granted
    assert pool.take(Connecting().data, 2).granted
    assert not pool.take(Connecting().data, 2).granted
    assert pool.open_to(AT) == 2
    assert pool.take(Connecting(("other.test", 443)).data, 2).granted
    assert pool.take(Connecting(("api.test", 80)).data, 2).granted


async def test_the_one_idle_connection_that_gives_its_place_up_still_leaves_the_number_in_force() -> None:
    """connections.max: 1. The new connection is booked where later ones look, so that no second one is opened."""
    pool = Pool()
    first, second, third = Connecting(), Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    first.open(pool).rest()
    taken = pool.take(second.data, 1)
    assert taken.granted
    assert [idle.server for idle in taken.to_close] == [first.server]
    assert pool.open_to(AT) == 1
    pool.closed(first.server)  # the hook of its end comes later, and frees nothing
    assert pool.open_to(AT) == 1
    assert not pool.take(third.data, 1).granted


async def test_the_one_that_waits_takes_the_place_where_later_ones_look() -> None:
    """connections.max: 1. The place that is free goes to the waiter, and is counted at once."""
    pool = Pool()
    first, second, third = Connecting(), Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    waiting = asyncio.create_task(pool.wait(second.data, 1, 5))
    await turns()
    pool.closed(first.server)
    assert pool.open_to(AT) == 1  # before the waiter has run
    assert not pool.take(third.data, 1).granted
    await waiting
    assert second.server.error is None
    pool.closed(second.server)
    assert pool.open_to(AT) == 0


async def test_a_newcomer_does_not_overtake_those_that_wait() -> None:
    """A place that is freed for a newcomer goes to the first in line."""
    pool = Pool()
    first, second, third = Connecting(), Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    first.open(pool)
    waiting = asyncio.create_task(pool.wait(second.data, 1, 5))
    await turns()
    first.rest()
    taken = pool.take(third.data, 1)
    assert not taken.granted
    assert [idle.server for idle in taken.to_close] == [first.server]
    await waiting
    assert pool.open_to(AT) == 1


async def test_waiting_ends_with_an_error_that_names_the_key() -> None:
    """… and the place in the queue is given up."""
    pool = Pool()
    first, second = Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    await pool.wait(second.data, 1, 0.01)
    assert second.server.error
    assert second.server.error.startswith(POOL_EXHAUSTED)
    assert "connections.max" in second.server.error
    pool.closed(first.server)
    assert pool.open_to(AT) == 0


@pytest.mark.parametrize("granted", [False, True])
async def test_a_client_that_leaves_gives_its_turn_to_the_next(granted: bool) -> None:
    """Whether it still waited, or had just been given its place."""
    pool = Pool()
    first, second, third = Connecting(), Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    waiting = [asyncio.create_task(pool.wait(c.data, 1, 5)) for c in (second, third)]
    await turns()
    if granted:
        pool.closed(first.server)
    waiting[0].cancel()
    await turns()
    if not granted:
        pool.closed(first.server)
    await waiting[1]
    assert pool.open_to(AT) == 1
    assert third.server.error is None
    pool.closed(third.server)
    assert pool.open_to(AT) == 0


async def test_the_ones_idle_longest_are_closed_beyond_keepalive() -> None:
    """In the order of their last use; those at work are not counted."""
    pool = Pool()
    busy, old, new = Connecting(), Connecting(), Connecting()
    for connection in (busy, new, old):
        assert pool.take(connection.data, 9).granted
        connection.open(pool)
    old.rest()
    new.rest()
    pool.used(new.server, new.layer)
    assert [idle.server for idle in pool.rest(new.server, 1)] == [old.server]
    assert pool.open_to(AT) == 2
    assert pool.rest(new.server, 1) == ()


async def test_an_idle_connection_makes_room_for_one_that_waits() -> None:
    """Even if keepalive would let it stay."""
    pool = Pool()
    first, second = Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    first.open(pool)
    waiting = asyncio.create_task(pool.wait(second.data, 1, 5))
    await turns()
    assert [idle.server for idle in pool.rest(first.rest().server, 5)] == [first.server]
    await waiting
    assert pool.open_to(AT) == 1


def test_what_is_idle() -> None:
    """Open, used before, and without a request; one that is being opened is not."""
    connection = Connecting()
    layer: Any = connection.layer
    assert not is_idle(connection.server, layer)
    connection.server.state = ConnectionState.OPEN
    assert is_idle(connection.server, layer)
    assert not is_idle(connection.server, None)
    connection.http.stream_id = 3
    assert not is_idle(connection.server, layer)
    connection.http.stream_id = None
    layer.waiting_for_establishment[connection.server].append(None)
    assert not is_idle(connection.server, layer)


async def test_a_destination_is_its_host_and_port() -> None:
    """The scope id and flow info that an IPv6 address carries as well make no further destination."""
    pool = Pool()
    one, other, third = (Connecting(("fe80::1", 443, 0, scope)) for scope in (2, 3, 4))  # type: ignore[arg-type]
    assert pool.take(one.data, 1).granted
    assert not pool.take(other.data, 1).granted
    waiting = asyncio.create_task(pool.wait(other.data, 1, 5))
    await turns()
    assert [idle.server for idle in pool.rest(one.open(pool).rest().server, 9)] == [one.server]
    await waiting
    assert pool.open_to(("fe80::1", 443)) == 1
    assert pool.rest(other.open(pool).rest().server, 0)
    assert pool.open_to(("fe80::1", 443)) == 0
    assert pool.take(third.data, 1).granted
    pool.closed(third.server)
    assert pool.open_to(("fe80::1", 443)) == 0


async def test_a_newcomer_closes_no_more_idle_connections_than_it_needs() -> None:
    """One place is enough; the others stay open for their clients."""
    pool = Pool()
    first, second = Connecting(), Connecting()
    for connection in (first, second):
        assert pool.take(connection.data, 2).granted
        connection.open(pool).rest()
    assert [idle.server for idle in pool.take(Connecting().data, 2).to_close] == [first.server]
    assert pool.open_to(AT) == 2


async def test_a_place_that_became_free_before_the_wait_is_taken_at_once() -> None:
    """Between `take` and `wait` a connection may end: that wakes nobody who has not queued yet."""
    pool = Pool()
    first, second = Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    assert not pool.take(second.data, 1).granted
    pool.closed(first.server)
    await pool.wait(second.data, 1, 0)
    assert second.server.error is None
    assert pool.open_to(AT) == 1


async def test_who_gave_up_waiting_takes_no_place_later() -> None:
    """No idle connection is closed for it, and a place that becomes free afterwards is free for the next one."""
    pool = Pool()
    first, gone, third = Connecting(), Connecting(), Connecting()
    assert pool.take(first.data, 1).granted
    first.open(pool)
    await pool.wait(gone.data, 1, 0)
    assert gone.server.error
    assert pool.rest(first.rest().server, 9) == ()
    pool.closed(first.server)
    assert pool.open_to(AT) == 0
    assert pool.take(third.data, 1).granted


async def test_a_destination_without_connections_is_forgotten() -> None:
    """A gate that has called many hosts keeps nothing of those it is done with."""
    pool = Pool()
    first, second = Connecting(), Connecting()
    assert pool.take(first.data, 2).granted
    assert pool.take(second.data, 2).granted
    pool.closed(first.server)
    assert pool._at
    pool.closed(second.server)
    assert not pool._at


async def test_as_many_idle_connections_as_keepalive_says_stay() -> None:
    """Exactly that number stays; one more, and the oldest goes. A place nothing is known of has none to close."""
    pool = Pool()
    connections = [Connecting() for _ in range(3)]
    for connection in connections:
        assert pool.take(connection.data, 9).granted
        connection.open(pool).rest()
    assert pool.rest(connections[2].server, 3) == ()
    assert [idle.server for idle in pool.rest(connections[2].server, 2)] == [connections[0].server]
    assert pool.rest(Connecting(("other.test", 443)).server, 0) == ()
    assert pool.rest(Server(address=None), 0) == ()


def http2(streams: dict[int, Any], *, leaving: bool | None = None) -> Http2Connection:
    """An HTTP/2 client as far as the pool looks at it. leaving None: one of mitmproxy's own, which knows no such thing."""
    client = Http2Connection.__new__(Http2Connection)
    client.streams = streams
    if leaving is not None:
        client.leaving = leaving  # type: ignore[attr-defined]
    return client


@pytest.mark.parametrize(
    ("client", "idle"),
    [
        (http2({}), True),
        (http2({}, leaving=False), True),
        (http2({}, leaving=True), False),
        (http2({1: None}), False),
        (http2({1: None}, leaving=True), False),
        (None, False),
    ],
)
def test_an_http2_connection_is_idle_without_streams(client: Http2Connection | None, idle: bool) -> None:
    """One that the provider is ending serves no further request. A layer without HTTP, of a raw tunnel, is never idle."""
    connection = Connecting()
    connection.server.state = ConnectionState.OPEN
    layer: Any = connection.layer
    layer.connections[connection.server] = client
    assert is_idle(connection.server, layer) is idle


def test_the_http_client_is_found_below_other_layers() -> None:
    """TLS and a proxy's CONNECT lie above it."""
    connection = Connecting()
    outer = ServerTLSLayer(connection.layer.context)
    outer.child_layer = connection.http
    assert http_client(outer) is connection.http
    assert http_client(connection.http) is connection.http
    assert http_client(None) is None


def test_a_connection_that_is_closed_is_closed_for_new_requests_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state says so before the core has ended it, and the core is told which one, and why."""
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(pool_module.internals, "cancel", lambda *args: told.append(args))
    connection = Connecting()
    connection.server.state = ConnectionState.OPEN
    close([Idle(connection.server, "client-1")])
    assert connection.server.state is ConnectionState.CLOSED
    assert told == [("client-1", connection.server, "idle")]
