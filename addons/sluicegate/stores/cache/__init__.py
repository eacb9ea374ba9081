"""Where kept answers live: SQLite on one machine, Redis for several."""

from __future__ import annotations

from pathlib import Path

from sluicegate.stores.cache.base import CacheStore, Limits

__all__ = ["open_cache", "place_of"]


def place_of(store: str, state_dir: Path) -> str:
    """Where the cache is, by the configuration's `store`: a Redis URL, or the path of a file of its own."""
    if "://" in store and not store.startswith("sqlite:"):
        return store
    _, _, named = store.partition("sqlite:///")
    if not named:
        return str(state_dir.expanduser() / "cache.sqlite")
    path = Path(named).expanduser()
    return str(path / "cache.sqlite" if path.is_dir() else path.with_name(f"{path.stem}-cache.sqlite"))


def open_cache(place: str, limits: Limits) -> CacheStore:
    """Open what `place_of` names. Raises StoreError."""
    if "://" in place:
        from sluicegate.stores.cache.redis import RedisCache

        return RedisCache(place, limits)
    from sluicegate.stores.cache.sqlite import SqliteCache

    return SqliteCache(Path(place), limits)
