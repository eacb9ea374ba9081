"""FairQueue: calls that wait for capacity get it in turn, and none waits for ever."""

import asyncio
from collections.abc import Callable

import pytest

from sluicegate.core.limits.counters import Counter
from sluicegate.core.limits.reservations import Admitted, Denied, Verdict
from sluicegate.stages.limiter import queue as module
from sluicegate.stages.limiter.queue import FairQueue

CONCURRENCY = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 1)
LONG_S = 60.0


class Capacity:
    """Capacity that the test releases; a call that asks gets it if there is some."""

    def __init__(self) -> None:
        self.free = 0
        self.down = False
        self.wait_s: float | None = None
        self.asked: list[str] = []
        self.queue = FairQueue()

    def denied(self) -> Denied:
        available_ms = None if self.wait_s is None else int(self.wait_s * 1000)
        return Denied(CONCURRENCY, 1, available_ms, 0, (), (), 0)

    def asking(self, name: str) -> Callable[[], "asyncio.Future[Verdict | None]"]:
        async def ask() -> Verdict | None:
            self.asked.append(name)
            if self.down:
                return None
            if not self.free:
                return self.denied()
            self.free -= 1
            return Admitted(name, (), (), 0)

        return lambda: asyncio.ensure_future(ask())

    def join(
        self, name: str, key: str = "k", seconds: float = LONG_S, *, asked_before: bool = True
    ) -> "asyncio.Task[Verdict | None]":
        gone = asyncio.get_running_loop().create_future()
        self.gone = gone

        async def until_gone() -> None:
            await gone

        waiting = self.queue.wait(key, self.asking(name), self.denied() if asked_before else None, seconds, until_gone())
        return asyncio.create_task(waiting)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_in_turn() -> None:
    """First come, first served; a call does not ask before it is first."""
    capacity = Capacity()
    tasks = []
    for name in "abc":
        tasks.append(capacity.join(name))
        await settled()
    assert capacity.queue.waiting("k") == 3
    capacity.free = 2
    capacity.queue.wake()
    assert [t.id for t in await asyncio.gather(*tasks[:2]) if isinstance(t, Admitted)] == ["a", "b"]
    assert capacity.asked[:2] == ["a", "b"]
    await settled()
    assert not tasks[2].done()
    capacity.free = 1
    capacity.queue.wake()
    assert isinstance(await tasks[2], Admitted)
    assert "k" not in capacity.queue


async def test_lines_of_others() -> None:
    """One key's line does not hold up another's."""
    capacity = Capacity()
    stuck = capacity.join("a", "k")
    await settled()
    other = capacity.join("b", "other")
    await settled()
    capacity.free = 2
    capacity.queue.wake()
    assert isinstance(await stuck, Admitted)
    assert isinstance(await other, Admitted)


async def test_the_time_is_up() -> None:
    """The last verdict is the refusal, and the call leaves the line."""
    capacity = Capacity()
    assert isinstance(await capacity.join("a", seconds=0.001), Denied)
    assert "k" not in capacity.queue


async def test_gone() -> None:
    """A call whose client is gone takes no capacity; the next one moves up."""
    capacity = Capacity()
    first = capacity.join("a")
    await settled()
    leaves = capacity.gone
    second = capacity.join("b")
    await settled()
    leaves.set_result(None)
    assert await first is None
    capacity.free = 1
    capacity.queue.wake()
    assert isinstance(await second, Admitted)


async def test_without_an_event_it_asks_again() -> None:
    """Capacity that another process has released is found."""
    capacity = Capacity()
    waiting = capacity.join("a")
    await settled()
    capacity.free = 1
    assert isinstance(await waiting, Admitted)


async def test_time_frees_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of a line asks at the moment that its refusal announced, without an event."""
    monkeypatch.setattr(module, "_POLL_S", LONG_S)
    capacity = Capacity()
    capacity.wait_s = 0.01
    waiting = capacity.join("a")
    await settled()
    assert capacity.asked == []
    capacity.free = 1
    assert isinstance(await asyncio.wait_for(waiting, LONG_S / 2), Admitted)
    assert capacity.asked == ["a"]


async def test_a_call_behind_others_asks_once_before_it_gives_up() -> None:
    """Its time is up before its turn comes; the others keep their places."""
    capacity = Capacity()
    first = capacity.join("a")
    await settled()
    assert isinstance(await capacity.join("b", seconds=0.001, asked_before=False), Denied)
    assert capacity.asked == ["b"]
    assert capacity.queue.waiting("k") == 1
    capacity.free = 1
    capacity.queue.wake()
    assert isinstance(await first, Admitted)


async def test_a_store_that_fails_ends_the_wait() -> None:
    """The call goes on without a verdict, and the next one asks."""
    capacity = Capacity()
    first = capacity.join("a")
    await settled()
    second = capacity.join("b")
    await settled()
    capacity.down = True
    capacity.queue.wake()
    assert await first is None
    assert await second is None
    assert capacity.asked == ["a", "b"]
    assert "k" not in capacity.queue


async def test_a_cancelled_call_leaves_the_line() -> None:
    """Nothing of it stays behind, and the next one moves up."""
    capacity = Capacity()
    first = capacity.join("a")
    await settled()
    second = capacity.join("b")
    await settled()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert capacity.queue.waiting("k") == 1
    capacity.free = 1
    capacity.queue.wake()
    assert isinstance(await second, Admitted)
    assert "k" not in capacity.queue
