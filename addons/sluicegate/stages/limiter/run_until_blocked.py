"""Runs a coroutine in place until it blocks: a call that need not wait creates no task.

`asyncio.Task(eager_start=True)` does nearly the same, but always creates a task and a context. Measured with CPython 3.13:
0.7 µs against 0.3 µs for a coroutine that does not block, 8.1 µs against 5.5 µs for one that blocks once. Nearly all calls
are of the first kind and pay this on their way to the provider.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

__all__ = ["run_until_blocked"]


def run_until_blocked(work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Start a coroutine. None: it has ended. Else the rest of it, which must be awaited. Its exceptions are raised.

    Before it blocks it must not use its own task, as `asyncio.timeout` does: it has none yet.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _Rest(work, waits_for)


class _Rest:
    """A coroutine that has blocked on `waits_for`."""

    __slots__ = ("_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        work, waits_for = self._work, self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as e:  # noqa: BLE001 - any exception, a cancellation too, belongs to the coroutine
                step, value = work.throw, e
            else:
                step, value = work.send, sent  # type: ignore[assignment]
            try:
                waits_for = step(value)
            except StopIteration:
                return
