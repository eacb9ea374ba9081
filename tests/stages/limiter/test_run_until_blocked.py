"""run_until_blocked: a coroutine that does not block ends in place; one that blocks continues where it was."""

import asyncio

import pytest

from sluicegate.stages.limiter.run_until_blocked import run_until_blocked


async def test_without_a_wait_it_is_done_at_once() -> None:
    """Its exception is raised as from a plain call."""
    done = []

    async def work() -> None:
        done.append(1)

    assert run_until_blocked(work()) is None
    assert done == [1]

    async def fails() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        run_until_blocked(fails())


async def test_a_wait_goes_on_where_it_was() -> None:
    """Over several waits, results and exceptions."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    got: list[object] = []

    async def work() -> None:
        got.append(await first)
        try:
            await second
        except KeyError as e:
            got.append(type(e))
        await asyncio.sleep(0)
        got.append("end")

    rest = run_until_blocked(work())
    assert rest is not None
    loop.call_soon(first.set_result, 7)
    loop.call_soon(second.set_exception, KeyError())
    await rest
    assert got == [7, KeyError, "end"]


async def test_cancelled() -> None:
    """A cancellation reaches it, and it may clean up."""
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(1)

    async def outer() -> None:
        rest = run_until_blocked(work())
        assert rest is not None
        await rest

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [1]
