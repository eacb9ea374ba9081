"""A store on the network is looked for at the start."""

from __future__ import annotations

import asyncio
import socket

from sluicegate.gate.store_probe import probe_store
from sluicegate.services.services import Services
from sluicegate.settings import Settings


async def alarms_of(store: str) -> list[tuple[str, dict[str, object]]]:
    services, seen = Services({}), list[tuple[str, dict[str, object]]]()
    services.on_alarm.append(lambda kind, facts: seen.append((kind, facts)))
    await probe_store(Settings(store=store), services)
    return seen


async def test_a_store_that_is_down_is_an_alarm_with_its_address_and_without_its_password() -> None:
    """The reason is the system's, in words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        ((kind, facts),) = await alarms_of(f"redis://:hidden@127.0.0.1:{port}/0")
    assert (kind, facts["store"], facts["why"]) == ("store.unreachable", f"127.0.0.1:{port}", "Connection refused")
    assert "hidden" not in str(facts)


async def test_a_store_that_listens_and_a_file_are_none() -> None:
    """What it says is found out by those who use it."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await alarms_of(f"redis://127.0.0.1:{port}") == []
    assert await alarms_of("sqlite") == await alarms_of("memory") == []
