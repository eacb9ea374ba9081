"""CacheClient: one process's view of a cache store, shared by all stages that use it, across reloads.

It knows what need not be read from the store each time: whether the cache is enabled (refreshed after half a second), what
it has saved, the entries that are often requested, and those that are being written. After a failure the store is left
alone for a while; until then every lookup is a miss.
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

from sluicegate.core.errors import StoreError, describe
from sluicegate.stores.cache import open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    HitSavings,
    Limits,
    StoreLost,
    StoreState,
    Totals,
)
from sluicegate.stores.cache.hot_entries import HotEntries

__all__ = ["CacheClient"]

Alarm = Callable[..., None]

FRESH_S: Final = 0.5
"""How old the known state of the store may be, so that `sluicegate cache off` takes effect within a second."""
DOWN_S: Final = 5.0
"""How long a store that failed is left alone."""
FLUSH_S: Final = 0.5
"""How long hits are counted in memory before they are written to the store."""


class CacheClient:
    """Opens the store; if that fails, it raises an alarm and tries again later."""

    def __init__(
        self,
        location: str,
        limits: Limits,
        alarm: Alarm,
        clock: Callable[[], float] = time.monotonic,
        opener: Callable[[str, Limits], CacheStore] = open_cache,
    ) -> None:
        self.location = location
        self.limits = limits
        self.totals: Totals | None = None
        """Over all time and all processes; None until the store was read."""
        self._enabled = True
        self._version = 0
        self._alarm = alarm
        self._clock = clock
        self._opener = opener
        self._refreshed_at = float("-inf")
        self._down_until = float("-inf")
        self._store: CacheStore | None = None
        self._hot = HotEntries()
        self._pending: dict[str, Entry] = {}
        self._hits: dict[str, HitSavings] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            self._store = opener(location, limits)
            if state := self._store.initial_state:
                self._apply(state)
        except StoreError as e:
            self._mark_down(e)
        at_exit = weakref.WeakMethod(self.flush_hits_sync)
        atexit.register(lambda: (flush := at_exit()) and flush())

    def set_limits(self, limits: Limits) -> None:
        """A reloaded configuration may have other limits."""
        self.limits = limits
        if self._store:
            self._store.limits = limits

    # -- lookups
    def peek(self, keys: Sequence[str]) -> Entry | Literal["miss"] | None:
        """Look up without waiting; None: only the store can answer (`find`)."""
        if self.down:
            return "miss"
        if self._store is None or self._clock() - self._refreshed_at > FRESH_S:
            return None
        if not self._enabled:
            return "miss"
        now = time.time()
        for key in keys:
            if (entry := self._pending.get(key) or self._hot.get(key, now)) and entry.expires > now:
                return entry
            if not self._store.known_absent(key):
                return None
        return "miss"

    async def find(self, keys: Sequence[str]) -> Entry | None:
        """The entry under the first key that has one."""
        try:
            store = await self._opened()
            await self._refresh(store)
            if not self._enabled:
                return None
            for key in keys:
                if (pending := self._pending.get(key)) and pending.expires > time.time():
                    return pending
                if entry := await store.get(key):
                    self._hot.add(entry)
                    return entry
        except StoreError as e:
            self._mark_down(e)
        return None

    @property
    def enabled(self) -> bool:
        """Not switched off, by the last known state."""
        return self._enabled

    @property
    def usable(self) -> bool:
        """Enabled, by the last known state, and not down."""
        return self._enabled and not self.down

    @property
    def down(self) -> bool:
        return self._clock() < self._down_until

    async def _opened(self) -> CacheStore:
        if self._store is None:
            self._store = await asyncio.to_thread(self._opener, self.location, self.limits)
        return self._store

    async def _refresh(self, store: CacheStore) -> None:
        now = self._clock()
        if now - self._refreshed_at <= FRESH_S:
            return
        self._refreshed_at = now  # before waiting, so that concurrent lookups do not refresh as well
        self._apply(await store.state())

    def _apply(self, state: StoreState) -> None:
        self._enabled, self.totals = state.enabled, state.totals
        if state.version != self._version:
            self._version = state.version
            self._hot.clear()

    # -- writing entries
    def store(self, *entries: Entry) -> None:
        """Write entries in the background; lookups find them at once."""
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

    # -- counting hits
    def count_hit(self, key: str, tokens: int, usd: float) -> None:
        """Count a hit in memory; it is written a little later, together with others."""
        if not self._hits:
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush_hits)
        hit = self._hits.setdefault(key, HitSavings())
        hit.hits, hit.tokens, hit.usd = hit.hits + 1, hit.tokens + tokens, hit.usd + usd

    def all_time(self) -> Totals | None:
        """The store's totals, and the hits that have not been written yet."""
        if not self.down and self._clock() - self._refreshed_at > FRESH_S:
            self._start(self._refresh_totals())  # for the next caller
        if self.totals is None or not self._hits:
            return self.totals
        hits, tokens, usd = (sum(getattr(h, n) for h in self._hits.values()) for n in ("hits", "tokens", "usd"))
        t = self.totals
        return replace(t, hits=t.hits + hits, saved_tokens=t.saved_tokens + tokens, saved_usd=t.saved_usd + usd)

    async def _refresh_totals(self) -> None:
        await self._refresh(await self._opened())

    def _flush_hits(self) -> None:
        hits, self._hits = self._hits, {}
        if hits and self._store:
            self._start(self._store.record_hits(hits))
            self._refreshed_at = float("-inf")  # the totals have changed

    def flush_hits_sync(self) -> None:
        """At the end of the process, when no event loop runs any more."""
        hits, self._hits = self._hits, {}
        if hits and self._store:
            with contextlib.suppress(StoreError):
                self._store.record_hits_sync(hits)

    # -- background work
    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoreError as e:
            self._mark_down(e)
        except Exception as e:  # noqa: BLE001 - a background task: its error would go unseen
            self._alarm("cache.bug", error=describe(e))

    async def settled(self) -> None:
        """Wait until everything is written."""
        self._flush_hits()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _mark_down(self, e: StoreError) -> None:
        if not self.down:
            self._alarm("cache.store", error=str(e), pause_s=DOWN_S)
        self._down_until = self._clock() + DOWN_S
        if isinstance(e, StoreLost) and self._store:
            lost, self._store = self._store, None
            self._hot.clear()
            self._start(lost.close())
