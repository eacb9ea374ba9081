"""proxy/timer.py: timers of streams ring once, for their own client, or not at all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from mitmproxy.proxy import events

from kits.playbook import Playbook
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.proxy.timer import Timer
from sluicegate.stages import Router
from sluicegate.testing import chain_of

REQUEST = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"


async def rung(delay_s: float, *, cancel: bool = False, other_client: bool = False) -> tuple[list[Any], Timer, Any]:
    """What a timer's handler was told."""
    with chain_of(Router) as chain:
        book = Playbook(chain)
        await book.client(REQUEST)
        stream: Any = next(iter(book.layer.streams.values()))
        heard: list[Any] = []
        done = asyncio.Event()

        async def server_event(event: events.Event) -> None:
            heard.append(event)
            done.set()

        client = SimpleNamespace() if other_client else book.context.client
        internals.handlers()[book.context.client.id] = SimpleNamespace(client=client, server_event=server_event)
        timer = Timer(stream, delay_s)
        assert book.layer.command_sources[timer.wake] is stream
        if cancel:
            timer.cancel()
        last = asyncio.Event()
        asyncio.get_running_loop().call_later(delay_s, last.set)  # rings after it
        await last.wait()
        if not cancel and not other_client:
            await done.wait()
        return heard, timer, book.layer.command_sources


async def test_it_wakes_its_stream() -> None:
    """Its command finds the stream; cancelling it later leaves the way for the event that is on its way."""
    heard, timer, sources = await rung(0.001)
    assert [type(event) for event in heard] == [events.Wakeup]
    assert heard[0].command is timer.wake
    timer.cancel()
    assert timer.wake in sources


async def test_a_cancelled_one_does_nothing() -> None:
    """And leaves nothing behind."""
    heard, timer, sources = await rung(0.001, cancel=True)
    assert heard == []
    assert timer.wake not in sources


async def test_another_client_with_the_same_id_is_not_woken() -> None:
    """A replay goes by the first client's id."""
    heard, _, _ = await rung(0.001, other_client=True)
    assert heard == []


async def test_a_client_that_has_gone() -> None:
    """No handler: nothing happens."""
    with chain_of(Router) as chain:
        book = Playbook(chain)
        await book.client(REQUEST)
        stream: Any = next(iter(book.layer.streams.values()))
        del internals.handlers()[book.context.client.id]
        timer = Timer(stream, 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not timer._fired
