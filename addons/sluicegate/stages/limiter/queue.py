"""FairQueue: calls that wait for capacity, first come, first served for each key."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from sluicegate.core.limits.reservations import Denied, Verdict

__all__ = ["FairQueue"]

_POLL_S: Final = 0.5
"""How often the first call of a line asks again without an event: other processes do not announce what they release."""

Ask = Callable[[], Awaitable[Verdict | None]]


class FairQueue:
    """One line of waiting calls for each key. Only the first of a line asks the store.

    It asks when a call of this process has ended, and when capacity becomes available through the passing of time.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Event]] = {}

    def __contains__(self, key: str) -> bool:
        """Whether a call waits for this key. If so, new ones must wait behind it."""
        return key in self._lines

    def waiting(self, key: str) -> int:
        """The number of calls that wait for this key."""
        return len(self._lines.get(key, ()))

    def wake(self) -> None:
        """A call has ended: the first of each line asks again."""
        for line in self._lines.values():
            line[0].set()

    async def wait(
        self, key: str, ask: Ask, denied: Denied | None, seconds: float, gone: Coroutine[Any, Any, None]
    ) -> Verdict | None:
        """Wait until `ask` admits the call, at most so many seconds, and only while its client is there.

        `denied`: the verdict, if the call has asked already. `gone` ends when the client disconnects. Returns the last
        verdict, which is Denied after a timeout; None if the store is down or the client gone.
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
        pause_s = _POLL_S
        if isinstance(verdict, Denied) and verdict.available_ms is not None:
            pause_s = (verdict.available_ms - verdict.now_ms) / 1000
        return max(0.001, min(pause_s, _POLL_S, left_s))

    def _leave(self, key: str, line: deque[asyncio.Event], turn: asyncio.Event) -> None:
        line.remove(turn)
        if line:
            line[0].set()
        else:
            del self._lines[key]


async def _either(turn: asyncio.Event, left: asyncio.Future[None], seconds: float) -> None:
    """Wait for the turn or for the client to leave, at most so many seconds."""
    called = asyncio.ensure_future(turn.wait())
    try:
        waited: set[asyncio.Future[Any]] = {called, left}
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        called.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await called
