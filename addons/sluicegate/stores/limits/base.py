"""The protocol of limit stores. Each operation is atomic over all counters that it touches."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.reservations import ReserveRequest, Verdict

__all__ = ["Clock", "InstantStore", "LimitStore", "wall_ms"]

Clock = Callable[[], int]
"""Milliseconds since 1970."""


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class LimitStore(Protocol):
    """Counters and reservations. Every operation raises StoreError if the backend fails."""

    async def reserve(self, request: ReserveRequest) -> Verdict:
        """Reserve in all counters of a call, or in none. Two requests with the same id reserve once."""
        ...

    def settle(self, id: str, used: Sequence[Charge], /) -> Awaitable[None]:
        """Replace the reserved amounts with the used ones. Only the first settlement of an id has an effect."""
        ...

    async def free_slots(self, id: str, /) -> None:
        """Give back the concurrency that a reservation holds; its other amounts are settled later."""
        ...

    async def release(self, id: str, /) -> None:
        """Settle without usage: nothing was sent."""
        ...

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        """Renew the leases of running calls: they end `lease_ms` from now."""
        ...

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        """The usage of counters."""
        ...

    async def close(self) -> None:
        """Finish pending operations; close files and connections."""
        ...


class InstantStore(LimitStore, Protocol):
    """A store that answers without waiting."""

    def reserve_now(self, request: ReserveRequest) -> Verdict: ...
    def settle_now(self, id: str, used: Sequence[Charge], /) -> None: ...
    def peek_now(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]: ...
