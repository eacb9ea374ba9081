"""Graceful shutdown: on SIGTERM the gate stops accepting, lets exchanges finish, and interrupts the rest.

SIGTERM       → the ports close, /ready returns 503, new requests on open connections get a 503 and `connection: close`
all finished  → the process ends at once
drain_s       → exchanges in progress are interrupted: `event: error` in a stream, a native 503 otherwise
SIGTERM again → the process ends without waiting
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mitmproxy import ctx

from sluicegate.exchange.exchange import Exchange
from sluicegate.proxy import mitmproxy_internals as internals
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log

__all__ = ["STOPPING", "Drain"]

STOPPING: Final = "the gate is shutting down; try again"
_LOOK_S: Final = 0.05
_INTERRUPTED_S: Final = 2.0
"""How long interrupted clients may take to read the error."""


class Drain:
    """Stands in for the running master's `shutdown`, which is what mitmproxy calls on SIGTERM and SIGINT."""

    def __init__(self, services: Services, under_way: Callable[[], list[Exchange]], drain_s: Callable[[], float]) -> None:
        self._services = services
        self._under_way = under_way
        self._drain_s = drain_s
        self._stock: Callable[[], Any] | None = None
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Replace `shutdown` of the running master. Idempotent."""
        if self._stock is None:
            self._stock = ctx.master.shutdown
            ctx.master.shutdown = self.shutdown  # type: ignore[method-assign]

    def shutdown(self) -> None:
        """Start to drain; on the second call, stop."""
        assert self._stock
        self._services.draining = True
        if self._task is not None or not self._under_way():
            self._stock()
            return
        self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        assert self._stock
        try:
            drain_s = self._drain_s()
            log.info("drain.begin", calls=len(self._under_way()), for_s=drain_s)
            await internals.shut_ports()
            await self._until_done(drain_s)
            if left := self._under_way():
                log.warning("drain.interrupted", calls=len(left), after_s=drain_s)
                for x in left:
                    x.interrupt(STOPPING)
                await self._until_done(_INTERRUPTED_S)
                await asyncio.sleep(_LOOK_S)  # the errors are being written
        finally:
            self._stock()

    async def _until_done(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._under_way() and loop.time() < end:  # noqa: ASYNC110 - calls end in many ways, and a delay does not matter
            await asyncio.sleep(_LOOK_S)
