"""Stores for cached answers: SQLite for one machine, Redis for several."""

from __future__ import annotations

from pathlib import Path

from sluicegate.stores.cache.base import CacheStore, Limits

__all__ = ["cache_location", "open_cache"]


def cache_location(store: str, state_dir: Path) -> str:
    """The cache's location by the configuration's `store`: a Redis URL, or the path of an SQLite file of its own."""
    if "://" in store and not store.startswith("sqlite:"):
        return store
    _, _, named = store.partition("sqlite:///")
    if not named:
        return str(state_dir.expanduser() / "cache.sqlite")
    path = Path(named).expanduser()
    return str(path / "cache.sqlite" if path.is_dir() else path.with_name(f"{path.stem}-cache.sqlite"))


def open_cache(location: str, limits: Limits) -> CacheStore:
    """Open the store at a `cache_location`. Raises StoreError."""
    if "://" in location:
        from sluicegate.stores.cache.redis import RedisCache

        return RedisCache(location, limits)
    from sluicegate.stores.cache.sqlite import SqliteCache

    return SqliteCache(Path(location), limits)
