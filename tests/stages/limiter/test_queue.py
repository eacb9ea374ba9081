"""FairQueue: who waits for a place gets it in turn, and nobody waits for ever."""

import asyncio
from collections.abc import Callable

from sluicegate.core.limits.counters import Counter
from sluicegate.core.limits.reservations import Admitted, Denied, Verdict
from sluicegate.stages.limiter.queue import FairQueue

CONCURRENCY = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 1)
LONG_S = 60.0


class Places:
    """Places that the test frees; who asks gets one where there is one."""

    def __init__(self) -> None:
        self.free = 0
        self.asked: list[str] = []
        self.queue = FairQueue()

    def denied(self, wait_s: float | None = None) -> Denied:
        available_ms = None if wait_s is None else int(wait_s * 1000)
        return Denied(CONCURRENCY, 1, available_ms, 0, (), (), 0)

    def asking(self, name: str) -> Callable[[], "asyncio.Future[Verdict | None]"]:
        async def ask() -> Verdict | None:
            self.asked.append(name)
            if not self.free:
                return self.denied()
            self.free -= 1
            return Admitted(name, (), (), 0)

        return lambda: asyncio.ensure_future(ask())

    def join(self, name: str, key: str = "k", seconds: float = LONG_S) -> "asyncio.Task[Verdict | None]":
        gone = asyncio.get_running_loop().create_future()
        self.gone = gone

        async def until_gone() -> None:
            await gone

        waiting = self.queue.wait(key, self.asking(name), self.denied(), seconds, until_gone())
        return asyncio.create_task(waiting)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_in_turn() -> None:
    """First come, first served; who is behind does not ask before it is first."""
    places = Places()
    tasks = []
    for name in "abc":
        tasks.append(places.join(name))
        await settled()
    assert places.queue.waiting("k") == 3
    places.free = 2
    places.queue.wake()
    assert [t.id for t in await asyncio.gather(*tasks[:2]) if isinstance(t, Admitted)] == ["a", "b"]
    assert places.asked[:2] == ["a", "b"]
    await settled()
    assert not tasks[2].done()
    places.free = 1
    places.queue.wake()
    assert isinstance(await tasks[2], Admitted)
    assert "k" not in places.queue


async def test_lines_of_others() -> None:
    """One key's line does not hold up another's."""
    places = Places()
    stuck = places.join("a", "k")
    await settled()
    other = places.join("b", "other")
    await settled()
    places.free = 2
    places.queue.wake()
    assert isinstance(await stuck, Admitted)
    assert isinstance(await other, Admitted)


async def test_the_time_is_up() -> None:
    """The last word is the refusal, and the line is left."""
    places = Places()
    assert isinstance(await places.join("a", seconds=0.001), Denied)
    assert "k" not in places.queue


async def test_gone() -> None:
    """Who leaves takes no place; the next moves up."""
    places = Places()
    first = places.join("a")
    await settled()
    leaves = places.gone
    second = places.join("b")
    await settled()
    leaves.set_result(None)
    assert await first is None
    places.free = 1
    places.queue.wake()
    assert isinstance(await second, Admitted)


async def test_without_a_word_from_others_it_asks_again() -> None:
    """A place that another process has freed is found."""
    places = Places()
    waiting = places.join("a")
    await settled()
    places.free = 1
    assert isinstance(await waiting, Admitted)
