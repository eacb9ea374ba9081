"""What a store of limits does. Each operation is atomic over all the counters that it touches."""

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
    """Counters and reservations. Every operation raises StoreError where the backend does not do it."""

    async def reserve(self, request: ReserveRequest) -> Verdict:
        """Charge all counters of a call, or none. Twice with the same id reserves once."""
        ...

    def settle(self, id: str, used: Sequence[Charge], /) -> Awaitable[None]:
        """Charge what was used instead of what was reserved. Only the first settlement of an id does anything."""
        ...

    async def release(self, id: str, /) -> None:
        """Nothing was sent: give everything back."""
        ...

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        """These calls still run: their reservations live on, so long from now."""
        ...

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        """Where counters stand."""
        ...

    async def close(self) -> None:
        """Finish what was begun, and let go of files and connections."""
        ...


class InstantStore(LimitStore, Protocol):
    """A store in this process's memory: asked without waiting."""

    def reserve_now(self, request: ReserveRequest) -> Verdict: ...
    def settle_now(self, id: str, used: Sequence[Charge], /) -> None: ...
    def peek_now(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]: ...
