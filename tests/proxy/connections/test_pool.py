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
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import tflow

from sluicegate.proxy.connections.pool import POOL_EXHAUSTED, Pool, is_idle

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
