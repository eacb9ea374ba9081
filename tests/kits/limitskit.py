"""For tests of limits: a clock, and a store that answers late, is down, or has a bug."""

import asyncio
from collections.abc import Callable, Sequence

from sluicegate.core.errors import StoreError
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.reservations import ReserveRequest, Verdict
from sluicegate.core.limits.windows import DAY_MS
from sluicegate.stores.limits import LimitStore, storage_from_url

DAY = 20_454 * DAY_MS  # 2026-01-01


class Clock:
    """Milliseconds, set by the test."""

    def __init__(self) -> None:
        self.ms = DAY

    def __call__(self) -> int:
        return self.ms


class SlowStore:
    """A store in memory whose answers wait for `go`. It fails while `down`, and has a bug while `bug` is set."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.real: LimitStore = storage_from_url("memory", clock=clock)
        self.go = asyncio.Event()
        self.go.set()
        self.down = False
        self.bug: Exception | None = None
        self.asked = self.closed = 0
        self.extended: list[tuple[list[str], int]] = []
        self.settled: list[str] = []

    async def _ready(self) -> None:
        await self.go.wait()
        if self.down:
            raise StoreError("no connection")
        if self.bug:
            raise self.bug

    async def reserve(self, request: ReserveRequest) -> Verdict:
        self.asked += 1
        await self._ready()
        return await self.real.reserve(request)

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        await self._ready()
        self.settled.append(id)
        await self.real.settle(id, used)

    async def free_slots(self, id: str, /) -> None:
        await self._ready()
        await self.real.free_slots(id)

    async def release(self, id: str, /) -> None:
        await self.settle(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        self.extended.append((list(ids), lease_ms))
        await self._ready()
        await self.real.extend(ids, lease_ms)

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        return await self.real.peek(counters)

    async def close(self) -> None:
        self.closed += 1


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)
