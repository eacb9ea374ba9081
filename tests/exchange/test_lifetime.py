"""Lifetime: waiting for something, for a time, for the end, and never longer than the client."""

import asyncio

import pytest

from sluicegate.exchange.lifetime import Lifetime


async def begun(coroutine: object) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_what_is_there_is_returned_at_once() -> None:
    """An event that is set is True, though the client is there still; nothing waits behind it."""
    life, event = Lifetime(), asyncio.Event()
    event.set()
    assert await life.wait_for(event.wait())
    await asyncio.sleep(0)
    assert not life._gone_waiters


async def test_the_client_ends_the_wait() -> None:
    """False once it has left; what was waited for is cancelled."""
    life, waited = Lifetime(), asyncio.get_running_loop().create_future()
    task = await begun(life.wait_for(waited))
    assert not task.done()
    life.client_left()
    assert await task is False
    assert waited.cancelled()


async def test_time_ends_the_wait() -> None:
    """False when the time is up; the client is not taken for gone."""
    life = Lifetime()
    assert not await life.wait_for(asyncio.Event().wait(), within_s=0.001)
    assert not life.gone


async def test_an_error_of_what_is_waited_for_is_raised() -> None:
    """It is not swallowed."""

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Lifetime().wait_for(fails())


@pytest.mark.parametrize("ends", ["leaves", "interrupted"])
async def test_sleep_ends_early(ends: str) -> None:
    """When the client leaves or the gate interrupts: False; and at once if that was so before."""
    life = Lifetime()
    task = await begun(life.sleep(60))
    if ends == "leaves":
        life.client_left()
    else:
        life.interrupt("the gate stops")
    assert await task is False
    assert not await life.sleep(60)


async def test_sleep_comes_to_its_end() -> None:
    """True when the time is up."""
    assert await Lifetime().sleep(0.001)


async def test_an_interruption_reaches_the_stream() -> None:
    """With the reason in place when it looks."""
    life, seen = Lifetime(), []
    life.on_interrupt = lambda: seen.append(life.interrupted)
    life.interrupt("the gate stops")
    assert seen == ["the gate stops"]


async def test_the_end_wakes_those_who_wait_for_it() -> None:
    """Before and after."""
    life = Lifetime()
    task = await begun(life.until_closed())
    life.close()
    await asyncio.wait_for(task, 1)
    await asyncio.wait_for(life.until_closed(), 1)
    assert life.closed
