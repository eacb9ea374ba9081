"""Stores for cached answers: SQLite for one machine, Redis for several."""

from __future__ import annotations

from pathlib import Path

from sluicegate.stores.cache.base import CacheStore, Limits
from sluicegate.stores.urls import parse_store_url

__all__ = ["cache_location", "open_cache"]


def cache_location(store: str, state_dir: Path) -> str:
    """The cache's location by the configuration's `store`: a Redis URL, or the path of its SQLite file.

    Raises StoreError for an unknown kind of store.
    """
    url = parse_store_url(store)
    return store if url.kind == "redis" else str(url.file("cache", state_dir.expanduser()))


def open_cache(location: str, limits: Limits) -> CacheStore:
    """Open the store at a `cache_location`. Raises StoreError."""
    if "://" in location:
        from sluicegate.stores.cache.redis import RedisCache

        return RedisCache(location, limits)
    from sluicegate.stores.cache.sqlite import SqliteCache

    return SqliteCache(Path(location), limits)
