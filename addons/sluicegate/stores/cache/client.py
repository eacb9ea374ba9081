"""Shelf: one process's view of a cache store. Its stages share it, whatever policy they belong to.

Keeps what the store need not be asked: whether the cache is switched on (asked again after half a second), what it saved,
the entries that are asked for again and again, and those that are on their way into it. A store that fails is left alone
for a while; until then nothing is there.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache import open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    Limits,
    State,
    StoreLost,
    Totals,
    Use,
)
from sluicegate.stores.cache.hot import Hot

__all__ = ["Shelf"]

Alarm = Callable[..., None]

FRESH_S: Final = 0.5
"""How old our knowledge of the store's state may be: `sluicegate cache off` is seen within a second."""
DOWN_S: Final = 5.0
COUNT_S: Final = 0.5
"""Hits are counted in memory for so long before the store hears of them."""


class Shelf:
    """Opens the store; where that fails it alarms, and tries again later."""

    def __init__(
        self,
        place: str,
        limits: Limits,
        alarm: Alarm,
        clock: Callable[[], float] = time.monotonic,
        opener: Callable[[str, Limits], CacheStore] = open_cache,
    ) -> None:
        self.place = place
        self.limits = limits
        self.totals: Totals | None = None
        """All time, all processes; None until the store was asked."""
        self._on = True
        self._version = 0
        self._alarm = alarm
        self._clock = clock
        self._opener = opener
        self._asked = float("-inf")
        self._down_until = float("-inf")
        self._store: CacheStore | None = None
        self._hot = Hot()
        self._pending: dict[str, Entry] = {}
        self._uses: dict[str, Use] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            self._store = opener(place, limits)
            if found := self._store.found:
                self._learn(found)
        except StoreError as e:
            self._fail(e)
        at_exit = weakref.WeakMethod(self.count_now)
        atexit.register(lambda: (count := at_exit()) and count())

    def limit(self, limits: Limits) -> None:
        """A new configuration may have other limits."""
        self.limits = limits
        if self._store:
            self._store.limits = limits

    # -- looking
    def peek(self, keys: Sequence[str]) -> Entry | Literal["nothing"] | None:
        """What is known without waiting; None: only the store can tell (`find`)."""
        if self.down:
            return "nothing"
        if self._store is None or self._clock() - self._asked > FRESH_S:
            return None
        if not self._on:
            return "nothing"
        now = time.time()
        for key in keys:
            if (entry := self._pending.get(key) or self._hot.get(key, now)) and entry.expires > now:
                return entry
            if not self._store.absent(key):
                return None
        return "nothing"

    async def find(self, keys: Sequence[str]) -> Entry | None:
        """The entry under the first key that has one."""
        try:
            store = await self._opened()
            await self._catch_up(store)
            if not self._on:
                return None
            for key in keys:
                if (pending := self._pending.get(key)) and pending.expires > time.time():
                    return pending
                if entry := await store.get(key):
                    self._hot.add(entry)
                    return entry
        except StoreError as e:
            self._fail(e)
        return None

    @property
    def on(self) -> bool:
        """Not switched off, as far as we know."""
        return self._on

    @property
    def usable(self) -> bool:
        """Switched on, as far as we know, and not down."""
        return self._on and not self.down

    @property
    def down(self) -> bool:
        return self._clock() < self._down_until

    async def _opened(self) -> CacheStore:
        if self._store is None:
            self._store = await asyncio.to_thread(self._opener, self.place, self.limits)
        return self._store

    async def _catch_up(self, store: CacheStore) -> None:
        now = self._clock()
        if now - self._asked <= FRESH_S:
            return
        self._asked = now  # first: those who come meanwhile do not ask as well
        self._learn(await store.state())

    def _learn(self, state: State) -> None:
        self._on, self.totals = state.on, state.totals
        if state.version != self._version:
            self._version = state.version
            self._hot.clear()

    # -- keeping
    def keep(self, *entries: Entry) -> None:
        """Store them, without waiting; from now on they are found."""
        for entry in entries:
            self._pending[entry.key] = entry
            self._hot.drop(entry.key)
            self._start(self._put(entry))

    async def _put(self, entry: Entry) -> None:
        try:
            if self._store:
                await self._store.put(entry)
        finally:
            if self._pending.get(entry.key) is entry:
                del self._pending[entry.key]

    # -- counting
    def used(self, key: str, tokens: int, usd: float) -> None:
        """Count a hit: the store hears of it a little later, together with others."""
        if not self._uses:
            asyncio.get_running_loop().call_later(COUNT_S, self._count)
        use = self._uses.setdefault(key, Use())
        use.hits, use.tokens, use.usd = use.hits + 1, use.tokens + tokens, use.usd + usd

    def all_time(self) -> Totals | None:
        """What the store counted, and what it has not heard of yet."""
        if not self.down and self._clock() - self._asked > FRESH_S:
            self._start(self._refresh())  # for whoever asks next
        if self.totals is None or not self._uses:
            return self.totals
        hits, tokens, usd = (sum(getattr(u, n) for u in self._uses.values()) for n in ("hits", "tokens", "usd"))
        t = self.totals
        return replace(t, hits=t.hits + hits, saved_tokens=t.saved_tokens + tokens, saved_usd=t.saved_usd + usd)

    async def _refresh(self) -> None:
        await self._catch_up(await self._opened())

    def _count(self) -> None:
        uses, self._uses = self._uses, {}
        if uses and self._store:
            self._start(self._store.touch(uses))
            self._asked = float("-inf")  # the totals are others now

    def count_now(self) -> None:
        """At the end of the process, when no loop runs any more."""
        uses, self._uses = self._uses, {}
        if uses and self._store:
            with contextlib.suppress(StoreError):
                self._store.touch_now(uses)

    # -- work that nobody waits for
    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoreError as e:
            self._fail(e)
        except Exception as e:  # noqa: BLE001 - nobody waits for this task
            self._alarm("cache.bug", error=type(e).__name__)

    async def settled(self) -> None:
        """Wait for all that is being written."""
        self._count()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _fail(self, e: StoreError) -> None:
        if not self.down:
            self._alarm("cache.store", error=str(e), pause_s=DOWN_S)
        self._down_until = self._clock() + DOWN_S
        if isinstance(e, StoreLost) and self._store:
            lost, self._store = self._store, None
            self._hot.clear()
            self._start(lost.close())
