"""The entries that are requested often, in memory. Bounded by bytes; the least recently used are evicted."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from sluicegate.stores.cache.base import Entry

__all__ = ["HotEntries"]

MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_SHARE: Final = 8


class HotEntries:
    """No entry may take more than an eighth of the room."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str, now: float) -> Entry | None:
        """An entry that has not expired at `now` (Unix seconds)."""
        entry = self._entries.get(key)
        if entry is None or entry.expires <= now:
            return None
        self._entries.move_to_end(key)
        return entry

    def add(self, entry: Entry) -> None:
        self.drop(entry.key)
        if len(entry.body) > self._max // _MAX_SHARE:
            return
        self._entries[entry.key] = entry
        self._bytes += len(entry.body)
        while self._bytes > self._max:
            self.drop(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        if old := self._entries.pop(key, None):
            self._bytes -= len(old.body)

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
