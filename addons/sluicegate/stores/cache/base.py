"""What a cache store holds, and its interface. Backends: sqlite.py, redis.py; one conformance suite runs on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.core.messages.usage import Usage

__all__ = [
    "CacheStore",
    "Entry",
    "EntrySummary",
    "Head",
    "HitSavings",
    "Limits",
    "StoreLost",
    "StoreState",
    "Totals",
    "decode_head",
]


class StoreLost(StoreError):
    """The opened file is no longer the store: it has to be opened again."""


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything about a cached answer except its body. Stored as JSON: field names are part of the file format."""

    model: str
    """As the answer names it."""
    surface: str = "messages"
    stream: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    exact: str = ""
    """The exact key of the answered request: tells a repeated request from a similar one."""
    tokens: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    """input, output, cache read, cache write 5m, cache write 1h."""
    cost_usd: float | None = None
    stop_reason: str | None = None
    tools: tuple[str, ...] = ()
    timing: tuple[tuple[int, int], ...] = ()
    """(ms since the first chunk, bytes) of each chunk as it arrived."""
    names: tuple[str, ...] = ()
    """The placeholders in the answer."""
    snippet: str = ""
    sealed: bool = False
    """The body is encrypted (encryption.py)."""

    def usage(self) -> Usage:
        return Usage(*self.tokens, known=any(self.tokens))


def decode_head(raw: bytes | None) -> Head | None:
    """None if it is missing or was written by an incompatible version: such an entry is a miss."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached answer. Times are Unix seconds."""

    key: str
    created: float
    expires: float
    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """An entry without its body, for listings."""

    key: str
    created: float
    expires: float
    used: float
    hits: int
    size: int
    """Bytes that count against the limit."""
    head: Head


@dataclass(frozen=True, slots=True)
class Totals:
    entries: int = 0
    bytes: int = 0
    hits: int = 0
    saved_tokens: int = 0
    saved_usd: float = 0.0


@dataclass(slots=True)
class HitSavings:
    """The hits on one entry, and what they saved."""

    hits: int = 0
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class StoreState:
    """What another process, or `sluicegate cache`, may change."""

    enabled: bool = True
    version: int = 0
    """Changes when an entry is deleted or replaced: copies of entries in memory may then be stale."""
    totals: Totals = Totals()


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these, the least recently used entries are evicted."""

    entries: int = 10_000
    bytes: int = 1_000_000_000


class CacheStore(Protocol):
    """All async methods raise StoreError if the backend fails."""

    limits: Limits
    initial_state: StoreState | None
    """The state when the store was opened; None if reading it would block."""

    def known_absent(self, key: str) -> bool:
        """Whether there is surely no entry, without asking the backend. What another process has stored since the last
        `state` may be missed."""
        ...

    async def get(self, key: str) -> Entry | None:
        """None if there is no entry, or it has expired."""
        ...

    async def put(self, entry: Entry) -> None:
        """Returns when the entry is durable: `kill -9` does not lose it then (Redis: as its own settings say)."""
        ...

    async def record_hits(self, hits: Mapping[str, HitSavings]) -> None:
        """Add up hits by key, and mark the entries as used now."""
        ...

    def record_hits_sync(self, hits: Mapping[str, HitSavings]) -> None:
        """The same without an event loop or threads, for the end of the process."""
        ...

    async def delete(self, key: str) -> bool: ...

    async def listing(self, prefix: str = "", limit: int = 1000) -> list[EntrySummary]:
        """The entries that have not expired, the most recently used first."""
        ...

    async def state(self) -> StoreState:
        """Catch up with the other processes that use the same store."""
        ...

    async def set_enabled(self, enabled: bool) -> None:
        """For all processes that use the same store, and permanently."""
        ...

    async def close(self) -> None: ...
