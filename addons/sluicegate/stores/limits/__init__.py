"""Stores of counters and reservations: memory, SQLite or Redis, chosen by URL, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.errors import StoreError
from sluicegate.stores.limits.base import Clock, InstantStore, LimitStore
from sluicegate.stores.limits.memory import MemoryLimits
from sluicegate.stores.urls import parse_store_url

__all__ = ["InstantStore", "LimitStore", "storage_from_url"]


def storage_from_url(
    url: str, folder: Path | None = None, clock: Clock | None = None, emptied: Callable[[], object] | None = None
) -> LimitStore:
    """The store that a URL names (stores/urls.py): memory, SQLite (`limits.sqlite`) or Redis.

    It is opened by its first operation. `clock` gives milliseconds since 1970; Redis uses its own unless one is given.
    `emptied` is called when a server has lost its counters. Raises StoreError for any other URL.
    """
    place = parse_store_url(url)
    match place.kind:
        case "memory":
            return MemoryLimits(clock)
        case "sqlite":
            from sluicegate.stores.limits.sqlite import SqliteLimits

            return SqliteLimits(place.file("limits", folder or Path(), keep_suffix=True), clock)
        case "redis":
            try:
                from sluicegate.stores.limits.redis import RedisLimits
            except ModuleNotFoundError as e:
                raise StoreError(f"a limits store in Redis needs the redis package: {adding(OPTIONAL['redis'])}") from e

            return RedisLimits(url, clock, emptied=emptied)
        case kind:
            raise StoreError(f"limits cannot be stored in {kind!r}; use memory, sqlite, sqlite:///PATH or redis://HOST")
