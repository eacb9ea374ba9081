"""Lifetime: whether the client is still there, and how to wait for something no longer than the client does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Lifetime", "Shared"]


class Shared(Protocol):
    """What makes one call serve several exchanges."""

    @property
    def wanted(self) -> bool:
        """Whether an exchange besides the one that made the call listens to it."""
        ...


@dataclass(slots=True, eq=False)
class Lifetime:
    gone: bool = False
    """The client has left."""
    closed: bool = False
    """Nothing more will happen to the exchange."""
    interrupted: str | None = None
    """Why the gate itself ends the exchange before its time."""
    on_interrupt: Callable[[], None] | None = None
    """Set by the stream that serves the exchange: makes it look at `interrupted`."""
    before_end: Callable[[], Awaitable[None] | None] | None = None
    """Set by a stage: called once, before the client can see that its answer has ended; the end waits for its result."""
    ending: Awaitable[None] | None = None
    """What the end waits for."""
    shared: Shared | None = None
    """Set by a stage if others may come to listen to this exchange's call."""
    detached: bool = False
    """The client has left, and the call goes on for those others."""

    _gone_waiters: list[asyncio.Future[None]] = field(default_factory=list)
    _over_waiters: list[asyncio.Future[None]] = field(default_factory=list)
    _closed_waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def client_left(self) -> None:
        """The proxy core saw the client leave."""
        self.gone = True
        _wake(self._gone_waiters)
        _wake(self._over_waiters)

    def close(self) -> None:
        """The exchange is over."""
        self.closed = True
        _wake(self._closed_waiters)

    def interrupt(self, reason: str) -> None:
        """Wake waiting stages, and have the stream read the reason."""
        self.interrupted = reason
        _wake(self._over_waiters)
        if self.on_interrupt:
            self.on_interrupt()

    async def until_gone(self) -> None:
        """Return when the client has left."""
        if not self.gone:
            await _woken(self._gone_waiters)

    async def until_closed(self) -> None:
        """Return when the exchange is over."""
        if not self.closed:
            await _woken(self._closed_waiters)

    async def wait_for(self, awaitable: Awaitable[object], within_s: float | None = None) -> bool:
        """Wait for something, unless the client leaves first or the time is up. True: it is done.

        What is not done is cancelled. An exception of the awaitable is raised here.
        """
        waited, left = asyncio.ensure_future(awaitable), asyncio.ensure_future(self.until_gone())
        try:
            await asyncio.wait({waited, left}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not waited.done():
                return False
            waited.result()
            return True
        finally:
            waited.cancel()
            left.cancel()

    async def sleep(self, seconds: float) -> bool:
        """Wait, unless the client leaves or the exchange is interrupted. True: the time is up."""
        if self.gone or self.interrupted:
            return False
        try:
            await asyncio.wait_for(_woken(self._over_waiters), seconds)
        except TimeoutError:
            return True
        return False


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


async def _woken(waiters: list[asyncio.Future[None]]) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    finally:  # a long-lived answer waits here again and again
        if waiter in waiters:
            waiters.remove(waiter)
