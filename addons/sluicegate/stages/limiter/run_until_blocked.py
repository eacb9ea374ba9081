"""Runs a coroutine at once, as far as it goes without waiting: what needs no wait costs no switch of tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

__all__ = ["run_until_blocked"]


def run_until_blocked(work: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Start it. None: it is done already. Else the rest of it, to be awaited. Its exceptions are raised as they come.

    Until its first wait it must not ask for its task (`asyncio.timeout` does).
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return _Rest(work, waits_for)


class _Rest:
    """A coroutine that already waits for something."""

    __slots__ = ("_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        work, waits_for = self._work, self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as e:  # noqa: BLE001 - whatever it is, it is for the coroutine
                step, value = work.throw, e
            else:
                step, value = work.send, sent  # type: ignore[assignment]
            try:
                waits_for = step(value)
            except StopIteration:
                return
