"""Credentials that run out: fetched once for all who wait, in time, and never twice in a row after a failure."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from sluicegate.core.errors import Refused
from sluicegate.providers.auth.held_keys import (
    CredentialError,
    Fetched,
    Fresh,
    Keyed,
    bearer,
)
from sluicegate.providers.base import SigningInput
from sluicegate.providers.context import StaticKey


class Office:
    """Hands out numbered credentials; fails while `broken`; holds its answer back until `gate` is open."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.broken: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> Fresh[str]:
        self.asked += 1
        self.gate.wait(10)
        if self.broken:
            raise self.broken
        return Fresh(f"token {self.asked}", self.now + 60, self.now + 100)


@pytest.fixture
def office() -> Office:
    return Office()


def fetched(office: Office) -> Fetched[str]:
    return Fetched("token", office, lambda: office.now)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_all_who_wait_get_the_same(office: Office) -> None:
    """One fetch for many requests; one that leaves does not take it along."""
    one = fetched(office)
    office.gate.clear()
    waiting = [asyncio.create_task(one.ready()) for _ in range(20)]
    await until(lambda: office.asked == 1)
    waiting[0].cancel()
    office.gate.set()
    await asyncio.gather(*waiting[1:])
    assert (one.value, office.asked) == ("token 1", 1)


async def test_it_is_renewed_behind_those_who_use_it(office: Office) -> None:
    """Before it runs out nobody waits; then all do."""
    one = fetched(office)
    await one.ready()
    await one.ready()
    assert office.asked == 1
    office.now = 61
    office.gate.clear()
    await one.ready()
    assert one.value == "token 1"
    office.gate.set()
    await until(lambda: one.value == "token 2")
    office.now = 1000
    await one.ready()
    assert one.value == "token 3"


async def test_a_failure_is_told_and_not_repeated_at_once(office: Office) -> None:
    """In the fetcher's words where they are ours, else by the error's type; after a pause it is tried again."""
    one = fetched(office)
    office.broken = CredentialError("nobody is signed in")
    for _ in range(5):
        with pytest.raises(Refused, match="no token is available: nobody is signed in"):
            await one.ready()
    assert office.asked == 1
    office.now, office.broken = 6, ValueError("secret")
    with pytest.raises(Refused) as caught:
        await one.ready()
    assert "secret" not in str(caught.value)
    office.now, office.broken = 12, None
    await one.ready()
    assert one.value == "token 3"


async def test_an_old_one_holds_while_renewing_fails(office: Office) -> None:
    """Until it runs out."""
    one = fetched(office)
    await one.ready()
    office.broken, office.now = CredentialError("down"), 61
    await one.ready()
    await until(lambda: office.asked == 2)
    assert one.value == "token 1"
    office.now = 200
    with pytest.raises(Refused):
        await one.ready()


async def test_what_was_refused_is_forgotten(office: Office) -> None:
    """The next request waits for a new one."""
    one = fetched(office)
    with pytest.raises(CredentialError):
        _ = one.value
    await one.ready()
    one.forget()
    await one.ready()
    assert one.value == "token 2"


def test_nothing_secret_is_printed() -> None:
    """Whatever is formatted into a log."""
    key = StaticKey("p", "hunter2")
    for one in (key, Keyed(key, lambda value: ((b"x-api-key", value.encode()),)), bearer(key), Fresh("hunter2", 0, 0)):
        assert "hunter2" not in repr(one) + str(one)


def test_a_key_is_read_when_it_is_sent() -> None:
    """Its file may hold another one by then."""

    class Held:
        name, value, asked = "p", "old", 0

        def ask_again(self) -> None:
            self.asked += 1

    held = Held()
    source = bearer(held)
    held.value = "new"
    sent = SigningInput("POST", True, "h", "h", "/", (), b"", 0)
    assert source.fields(sent) == ((b"authorization", b"Bearer new"),)
    assert (source.name, source.waits, source.refused()) == ("p", False, False)
    assert held.asked == 1
