"""Stores of counters and reservations: memory, SQLite or Redis, chosen by URL, behind one protocol."""

from __future__ import annotations

from pathlib import Path

from sluicegate.core.errors import StoreError
from sluicegate.stores.limits.base import Clock, InstantStore, LimitStore
from sluicegate.stores.limits.memory import MemoryLimits

__all__ = ["InstantStore", "LimitStore", "storage_from_url"]

_FILE = "limits.sqlite"


def storage_from_url(url: str, folder: Path | None = None, clock: Clock | None = None) -> LimitStore:
    """The store of a URL. It opens files and connections with its first operation.

    memory            of this process only, lost when it ends
    sqlite            `limits.sqlite` in `folder`, shared by the processes of this machine
    sqlite:///PATH    `limits.sqlite` in that folder, or beside that file as `NAME-limits.EXT`
    redis://HOST…     Redis or Valkey, shared by several machines; rediss:// for TLS

    `clock` returns milliseconds since 1970; without it, Redis uses its own clock. Raises StoreError for any other URL.
    """
    if url == "memory":
        return MemoryLimits(clock)
    if url == "sqlite" or url.startswith("sqlite:///"):
        from sluicegate.stores.limits.sqlite import SqliteLimits

        return SqliteLimits(_sqlite_path(url, folder), clock)
    if url.startswith(("redis://", "rediss://")):
        try:
            from sluicegate.stores.limits.redis import RedisLimits
        except ModuleNotFoundError as e:
            raise StoreError("a limits store in Redis needs the redis package: pip install 'sluicegate[redis]'") from e

        return RedisLimits(url, clock)
    raise StoreError(f"unsupported limits store {url.partition(':')[0]!r}; use memory, sqlite, sqlite:///PATH or redis://")


def _sqlite_path(url: str, folder: Path | None) -> Path:
    if url == "sqlite":
        return (folder or Path()) / _FILE
    path = Path(url.removeprefix("sqlite:///")).expanduser()
    return path / _FILE if path.is_dir() else path.with_name(f"{path.stem}-limits{path.suffix or '.sqlite'}")
