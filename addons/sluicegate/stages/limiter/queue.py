"""FairQueue: calls that wait for a place, each key's in the order in which they came."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from sluicegate.core.limits.reservations import Denied, Verdict

__all__ = ["FairQueue"]

_LOOK_S: Final = 0.5
"""How long the first of a line waits at most before it asks again: other processes do not say when they free a place."""

Ask = Callable[[], Awaitable[Verdict | None]]


class FairQueue:
    """One line for each key. Whoever stands first asks: when a call of this process ended, when time has freed a place."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Event]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether somebody waits already: who comes now stands behind."""
        return key in self._lines

    def waiting(self, key: str) -> int:
        """How many wait in a line."""
        return len(self._lines.get(key, ()))

    def wake(self) -> None:
        """A call has ended: let the first of each line ask."""
        for line in self._lines.values():
            line[0].set()

    async def wait(
        self, key: str, ask: Ask, denied: Denied | None, seconds: float, gone: Coroutine[Any, Any, None]
    ) -> Verdict | None:
        """Wait for a place, at most so long, and not when the client is gone.

        `denied`: what was said before, if it was asked already. Returns the last word: Denied where the time was up; None
        where the store is down or the client gone.
        """
        loop = asyncio.get_running_loop()
        turn, until = asyncio.Event(), loop.time() + seconds
        line = self._lines.setdefault(key, deque())
        line.append(turn)
        left = asyncio.ensure_future(gone)
        verdict: Verdict | None = denied
        try:
            while not left.done():
                if line[0] is turn and verdict is None:
                    verdict = await ask()
                    if not isinstance(verdict, Denied):
                        return verdict
                if loop.time() >= until:
                    return verdict if verdict is not None else await ask()
                await _either(turn, left, self._pause_s(verdict if line[0] is turn else None, until - loop.time()))
                turn.clear()
                if line[0] is turn and loop.time() < until:
                    verdict = None
            return None
        finally:
            left.cancel()
            self._leave(key, line, turn)

    def _pause_s(self, verdict: Verdict | None, left_s: float) -> float:
        if verdict is None:
            return left_s
        soon = (
            _LOOK_S
            if not isinstance(verdict, Denied) or verdict.available_ms is None
            else (verdict.available_ms - verdict.now_ms) / 1000
        )
        return max(0.001, min(soon, _LOOK_S, left_s))

    def _leave(self, key: str, line: deque[asyncio.Event], turn: asyncio.Event) -> None:
        line.remove(turn)
        if line:
            line[0].set()
        else:
            del self._lines[key]


async def _either(turn: asyncio.Event, left: asyncio.Future[None], seconds: float) -> None:
    called = asyncio.ensure_future(turn.wait())
    try:
        waited: set[asyncio.Future[Any]] = {called, left}
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        called.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await called
