"""Limits in memory: of one process only, lost when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from sluicegate.core.limits import reservations
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.reservations import ReserveRequest, Verdict
from sluicegate.core.limits.table import MemoryTable
from sluicegate.stores.limits.base import Clock, wall_ms

__all__ = ["MemoryLimits"]

_SWEEP_EVERY = 10_000
"""Operations between two sweeps of expired counters."""


class MemoryLimits:
    """An InstantStore."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or wall_ms
        self._table = MemoryTable()
        self._operations = 0

    def reserve_now(self, request: ReserveRequest) -> Verdict:
        now_ms = self._clock()
        self._operations += 1
        if self._operations % _SWEEP_EVERY == 0:
            self._table.sweep(now_ms)
        return reservations.reserve(self._table, request, now_ms)

    def settle_now(self, id: str, used: Sequence[Charge], /) -> None:
        reservations.settle(self._table, id, used, self._clock())

    def peek_now(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        return reservations.peek(self._table, counters, self._clock())

    async def reserve(self, request: ReserveRequest) -> Verdict:
        return self.reserve_now(request)

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        self.settle_now(id, used)

    async def free_slots(self, id: str, /) -> None:
        reservations.free_slots(self._table, id)

    async def release(self, id: str, /) -> None:
        self.settle_now(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        reservations.extend(self._table, ids, lease_ms, self._clock())

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        return self.peek_now(counters)

    async def close(self) -> None:
        """Nothing is open."""
