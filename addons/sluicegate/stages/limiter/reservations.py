"""Reservations: the process-wide state of the limits: the store, running calls and pending settlements.

After a failure the store is not asked for a moment, so that calls do not wait for it one by one. Settlements of that time
are repeated when it is back. If it has lost the reservation meanwhile, the usage is charged all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

from sluicegate.core.errors import StoreError, describe
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.estimate import History
from sluicegate.core.limits.reservations import Admitted, ReserveRequest, Verdict
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings.state_folder import state_folder
from sluicegate.stages.limiter.queue import FairQueue
from sluicegate.stores.limits import InstantStore, LimitStore, storage_from_url

__all__ = ["RESERVATIONS", "Reservations", "reservations_for"]

_COOL_DOWN_S: Final = 1.0
"""How long a store is not asked after a failure."""
_REPORT_EVERY_S: Final = 60.0
"""How often the same problem is reported."""
_EMPTIED: Final = (
    "the store has lost its counters (restarted without its data, flushed, or keys evicted): "
    "what was spent before is forgotten, and budgets start whole; let Redis keep its data (appendonly yes, noeviction)"
)
_MAX_UNSETTLED: Final = 20_000
_MAX_REPORTED: Final = 5_000


class Reservations:
    """The reservations in one store."""

    def __init__(self, store: LimitStore, alarm: Callable[..., None]) -> None:
        self.store = store
        self.history = History()
        self.queue = FairQueue()
        self.lease_s = 900.0
        self._instant = cast("InstantStore", store) if hasattr(store, "settle_now") else None
        self._alarm = alarm
        self._live: dict[str, Sequence[Charge]] = {}
        """The reserved amounts of running calls."""
        self._unsettled: dict[str, Sequence[Charge]] = {}
        self._settling: dict[asyncio.Future[None], tuple[str, Sequence[Charge]]] = {}
        self._extending: asyncio.Task[None] | None = None
        self._next_try = 0.0
        self._down = False
        self._reported: dict[str, float] = {}

    # -- reservations
    async def reserve(self, request: ReserveRequest) -> Verdict | None:
        """None: the store is down; the call may be settled nevertheless."""
        if self._is_cooling_down():
            return None
        try:
            verdict = self._instant.reserve_now(request) if self._instant else await self.store.reserve(request)
        except StoreError as e:
            self._failed(e)
            return None
        if self._down:
            self._recovered()
        if isinstance(verdict, Admitted):
            self._live[verdict.id] = verdict.charges
            if self._extending is None:
                self._extending = asyncio.get_running_loop().create_task(self._extend())
        return verdict

    async def free_slots(self, name: str) -> None:
        """Give back the concurrency of a call whose answer is about to end. Raises nothing: the settlement does it too."""
        if self._is_cooling_down():
            return
        try:
            await self.store.free_slots(name)
        except StoreError as e:
            self._failed(e)
        except Exception as e:  # noqa: BLE001 - a bug of the store must not break the answer
            self._alarm("limits.settle", error=describe(e))
        else:
            self.queue.wake()

    def settle(self, name: str, used: Sequence[Charge] = ()) -> None:
        """Charge the usage of a call, at once or when the store is available. Without usage the reservation is released."""
        self._live.pop(name, None)
        if self._instant:
            self._instant.settle_now(name, used)
            self.queue.wake()
        elif self._down:
            self._postpone(name, used)
        else:
            settling = asyncio.ensure_future(self.store.settle(name, used))
            self._settling[settling] = name, used
            settling.add_done_callback(self._settled)

    def _settled(self, settling: asyncio.Future[None]) -> None:
        name, used = self._settling.pop(settling)
        if settling.cancelled():
            self._postpone(name, used)
        elif (e := settling.exception()) is None:
            self.queue.wake()
        elif isinstance(e, StoreError):
            self._postpone(name, used)
            self._failed(e)
        else:  # a bug, which a repetition does not cure; the lease will end
            self._alarm("limits.settle", error=describe(e))

    def _postpone(self, name: str, used: Sequence[Charge]) -> None:
        if len(self._unsettled) < _MAX_UNSETTLED:
            self._unsettled[name] = used
        elif self.should_report("unsettled"):
            self._alarm("limits.unsettled", why=f"more than {_MAX_UNSETTLED} calls ended while the store was down")

    async def _extend(self) -> None:
        """Renew the leases of running calls well before they end."""
        while True:
            await asyncio.sleep(self.lease_s / 3)
            if not self._live:
                break
            try:
                await self.store.extend(list(self._live), int(self.lease_s * 1000))
            except StoreError as e:
                self._failed(e)
        self._extending = None

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...] | None:
        """The usage of counters; None if the store is down."""
        if self._is_cooling_down():
            return None
        try:
            levels = self._instant.peek_now(counters) if self._instant else await self.store.peek(counters)
        except StoreError as e:
            self._failed(e)
            return None
        if self._down:
            self._recovered()
        return levels

    # -- the store's health
    def _is_cooling_down(self) -> bool:
        """Whether not to ask. While the store is down, one call a second tries it and the others do not wait."""
        now = time.monotonic()
        if not self._down:
            return False
        if now < self._next_try:
            return True
        self._next_try = now + _COOL_DOWN_S
        return False

    def _failed(self, e: StoreError) -> None:
        self._next_try = time.monotonic() + _COOL_DOWN_S
        self._down = True
        if self.should_report("down"):
            self._alarm("limits.store_down", why=str(e))

    def _recovered(self) -> None:
        self._down = False
        self._reported.pop("down", None)
        unsettled, self._unsettled = self._unsettled, {}
        log.info("limits.store_back", unsettled=len(unsettled))
        for name, used in unsettled.items():
            self.settle(name, used)

    def should_report(self, what: str) -> bool:
        """Whether to report this problem: true once a minute."""
        now = time.monotonic()
        if now - self._reported.get(what, -_REPORT_EVERY_S) < _REPORT_EVERY_S:
            return False
        if len(self._reported) >= _MAX_REPORTED:
            self._reported.clear()
        self._reported[what] = now
        return True

    async def close(self) -> None:
        """Settle what is pending and close the store. Calls that end with the process are charged what they reserved."""
        if self._extending:
            self._extending.cancel()
        for name, reserved in tuple(self._live.items()):
            self.settle(name, reserved)
        if self._settling:
            await asyncio.wait(self._settling)
        for name, used in self._unsettled.items():
            try:
                await self.store.settle(name, used)
            except StoreError as e:
                self._alarm("limits.unsettled", why=str(e), calls=len(self._unsettled))
                break
        await self.store.close()


RESERVATIONS: Final = StateKey("limits.reservations", Reservations.close)


def reservations_for(services: Services, settings: Settings) -> Reservations:
    """The reservations of the configured store, shared by all policies that configure the same one. Raises StoreError."""

    def opened() -> Reservations:
        folder = state_folder(settings) if settings.store == "sqlite" else None
        emptied = partial(services.alarm, "limits.store_emptied", why=_EMPTIED)
        return Reservations(storage_from_url(settings.store, folder, emptied=emptied), services.alarm)

    reservations = services.state.get(RESERVATIONS, opened, (settings.store, settings.state_dir))
    reservations.lease_s = settings.limits.lease_s
    return reservations
