"""What a cache store keeps, and what it can do. Backends: sqlite.py, redis.py; one set of tests runs on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.core.messages.usage import Usage

__all__ = ["CacheStore", "Entry", "Head", "Limits", "Listed", "State", "StoreLost", "Totals", "Use"]

KEY_LENGTH: Final = 64


class StoreLost(StoreError):
    """What was opened is the store no more: it has to be opened anew."""


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of a kept answer but its body."""

    model: str
    """As the answer names it."""
    surface: str = "messages"
    stream: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    exact: str = ""
    """The exact key of the request that was answered: tells a repeated request from a similar one."""
    tokens: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    """input, output, cache read, cache write 5m, cache write 1h."""
    cost_usd: float | None = None
    stop_reason: str | None = None
    tools: tuple[str, ...] = ()
    timing: tuple[tuple[int, int], ...] = ()
    """(ms since the first, bytes) of the chunks as they came."""
    names: tuple[str, ...] = ()
    """The placeholders that the answer names."""
    snippet: str = ""
    sealed: bool = False
    """The body is encrypted (sealing.py)."""

    def usage(self) -> Usage:
        return Usage(*self.tokens, known=any(self.tokens))


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer. Times are Unix seconds."""

    key: str
    created: float
    expires: float
    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry without its body, as a list shows it."""

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
class Use:
    """What hits on one entry saved."""

    hits: int = 0
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """What may change from outside: by another process, or by `sluicegate cache`."""

    on: bool = True
    version: int = 0
    """Another one where an entry was deleted or replaced: copies of entries may be out of date."""
    totals: Totals = Totals()


@dataclass(frozen=True, slots=True)
class Limits:
    """The least recently used entries go where there are more."""

    entries: int = 10_000
    bytes: int = 1_000_000_000


class CacheStore(Protocol):
    """All methods that wait raise StoreError where the backend does not do what it is asked."""

    limits: Limits
    found: State | None
    """The state when it was opened; None where that means waiting."""

    def absent(self, key: str) -> bool:
        """Whether it is known without asking the backend that there is nothing; what another process stored may be
        unknown until the next `state`."""
        ...

    async def get(self, key: str) -> Entry | None:
        """None where there is nothing, or nothing that is still good."""
        ...

    async def put(self, entry: Entry) -> None:
        """Returns when it is kept: `kill -9` does not lose it then (Redis: as its own settings say)."""
        ...

    async def touch(self, uses: Mapping[str, Use]) -> None:
        """Count hits, by key: the entries were used now, and saved so much."""
        ...

    def touch_now(self, uses: Mapping[str, Use]) -> None:
        """The same without a loop or threads: at the end of the process there are none any more."""
        ...

    async def delete(self, key: str) -> bool: ...

    async def listing(self, prefix: str = "", limit: int = 1000) -> list[Listed]:
        """The entries that are still good, the last used first."""
        ...

    async def state(self) -> State:
        """Catch up with the other processes that use the same store."""
        ...

    async def switch(self, on: bool) -> None:
        """For all processes that use the same store, and for good."""
        ...

    async def close(self) -> None: ...
