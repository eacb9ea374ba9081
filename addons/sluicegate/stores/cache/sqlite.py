"""The cache in an SQLite file: WAL, one writer thread that commits in groups, one reader thread.

The event loop never waits for the disk. An index of the keys in memory answers the commonest lookup, a miss, without the
reader thread; `state` adds the entries of other processes to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from sluicegate.core.errors import StoreError
from sluicegate.stores.cache.base import (
    Entry,
    EntrySummary,
    HitSavings,
    Limits,
    StoreLost,
    StoreState,
    Totals,
    decode_head,
)
from sluicegate.stores.cache.writer import Writer
from sluicegate.stores.private_file import ensure_private
from sluicegate.stores.write_ahead_log import use_write_ahead_log

__all__ = ["SqliteCache"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries(
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
  created REAL NOT NULL, expires REAL NOT NULL, used REAL NOT NULL, hits INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_used ON entries(used);
CREATE INDEX IF NOT EXISTS by_expires ON entries(expires);
CREATE TABLE IF NOT EXISTS numbers(name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO numbers VALUES
  ('on', 1), ('entries', 0), ('bytes', 0), ('hits', 0), ('tokens', 0), ('usd', 0), ('version', 0);
CREATE TRIGGER IF NOT EXISTS came AFTER INSERT ON entries BEGIN
  UPDATE numbers SET value = value + 1 WHERE name = 'entries';
  UPDATE numbers SET value = value + new.size WHERE name = 'bytes'; END;
CREATE TRIGGER IF NOT EXISTS went AFTER DELETE ON entries BEGIN
  UPDATE numbers SET value = value - 1 WHERE name = 'entries';
  UPDATE numbers SET value = value - old.size WHERE name = 'bytes'; END;
"""
_VERSION: Final = 1
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SLACK: Final = 1000
_SPARE: Final = 16
"""A full cache is emptied until one part in so many is free, so that few writes have to evict."""
_BATCH: Final = 1000
_NOT_OVERWRITING: Final = "PRAGMA secure_delete = FAST"
"""The pages of evicted entries are soon used again; to overwrite them before costs more than to write the new entries."""
_OVERHEAD: Final = 200
"""Bytes that an entry takes besides its head and body."""


class SqliteCache:
    """Opens or creates the file at once. Raises StoreError. A file that is not a usable database is moved aside."""

    def __init__(self, path: Path, limits: Limits | None = None, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.limits = limits or Limits()
        self._clock = clock
        self._index: set[bytes] = set()
        self._last_id = 0
        try:
            self._reader = _open(path)
            self._reader.execute("PRAGMA query_only = 1")
            self.initial_state: StoreState | None = self._catch_up()
            self._writer = Writer(_connect(path), f"cache {path.name}")
            self._inode = path.stat().st_ino
        except (sqlite3.Error, OSError) as e:
            raise StoreError(f"the cache {path} cannot be opened: {e}") from e
        self._threads = ThreadPoolExecutor(1, "cache-reader")

    # -- reading
    def known_absent(self, key: str) -> bool:
        return _short(key) not in self._index

    async def get(self, key: str) -> Entry | None:
        row = await self._read(
            lambda db: db.execute(
                "SELECT created, expires, head, body FROM entries WHERE key = ? AND expires > ?", (key, self._clock())
            ).fetchone()
        )
        if row is None:
            self._index.discard(_short(key))
            return None
        head = decode_head(row[2])
        return Entry(key, row[0], row[1], head, row[3]) if head else None

    async def listing(self, prefix: str = "", limit: int = 1000) -> list[EntrySummary]:
        query = (
            "SELECT key, created, expires, used, hits, size, head FROM entries "
            "WHERE key >= ? AND key < ? AND expires > ? ORDER BY used DESC, id DESC LIMIT ?"
        )
        arguments = (prefix, prefix + "~", self._clock(), limit)
        rows = await self._read(lambda db: db.execute(query, arguments).fetchall())
        return [EntrySummary(*row[:6], head) for row in rows if (head := decode_head(row[6]))]  # type: ignore[call-arg]

    async def state(self) -> StoreState:
        return await self._read(lambda _: self._checked_state())

    def _checked_state(self) -> StoreState:
        if not self._in_place():  # SQLite would go on writing to a deleted file that no other process sees
            raise StoreLost(f"the cache {self.path} was removed; a new one will be created")
        return self._catch_up()

    def _in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _catch_up(self) -> StoreState:
        db = self._reader
        n = dict(db.execute("SELECT name, value FROM numbers").fetchall())
        if len(self._index) > 2 * n["entries"] + _SLACK:
            self._index, self._last_id = set(), 0
        for id_, key in db.execute("SELECT id, key FROM entries WHERE id > ? ORDER BY id", (self._last_id,)):
            self._index.add(_short(key))
            self._last_id = id_
        totals = Totals(int(n["entries"]), int(n["bytes"]), int(n["hits"]), int(n["tokens"]), n["usd"])
        return StoreState(bool(n["on"]), int(n["version"]), totals)

    async def _read[T](self, ask: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask, self._reader)
        except (sqlite3.Error, RuntimeError) as e:  # RuntimeError: the threads have been shut down
            raise self._failed(e, "read") from e

    # -- writing
    async def put(self, entry: Entry) -> None:
        head = msgspec.json.encode(entry.head)
        size = len(head) + len(entry.body) + _OVERHEAD
        limits, now = self.limits, self._clock()
        if size > limits.bytes:
            return

        def write(db: sqlite3.Connection) -> None:
            # not INSERT OR REPLACE: its implied delete fires no trigger
            _delete(db, entry.key)
            new = db.execute(
                "INSERT INTO entries(key, created, expires, used, size, head, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.key, entry.created, entry.expires, now, size, head, entry.body),
            )
            _evict(db, limits, now, new.lastrowid or 0)

        await self._write(write, size)
        self._index.add(_short(entry.key))

    async def record_hits(self, hits: Mapping[str, HitSavings]) -> None:
        now = self._clock()
        await self._write(lambda db: _count(db, hits, now))

    def record_hits_sync(self, hits: Mapping[str, HitSavings]) -> None:
        try:
            db = _connect(self.path)
            try:
                db.execute("BEGIN IMMEDIATE")
                _count(db, hits, self._clock())
                db.execute("COMMIT")
            finally:
                db.close()
        except (sqlite3.Error, OSError) as e:
            raise StoreError(f"the cache {self.path} cannot be written: {e}") from e

    async def delete(self, key: str) -> bool:
        gone: list[int] = []

        def write(db: sqlite3.Connection) -> None:
            with _overwriting(db):
                gone.append(_delete(db, key))

        await self._write(write)
        self._index.discard(_short(key))
        return sum(gone) > 0

    async def set_enabled(self, enabled: bool) -> None:
        await self._write(lambda db: db.execute("UPDATE numbers SET value = ? WHERE name = 'on'", (float(enabled),)))

    async def _write(self, write: Callable[[sqlite3.Connection], object], size: int = 0) -> None:
        try:
            await asyncio.wrap_future(self._writer.submit(write, size))
        except sqlite3.Error as e:
            raise self._failed(e, "written") from e

    def _failed(self, e: Exception, what: str) -> StoreError:
        if getattr(e, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return StoreError(f"the cache {self.path} cannot be {what}: {e}")
        if self._in_place():  # another process may have moved it already
            _move_aside(self.path)
        return StoreLost(
            f"the cache {self.path} is damaged ({e}): moved to {self.path}.unusable, a new one will be created"
        )

    async def close(self) -> None:
        """Waits for pending writes."""
        await asyncio.get_running_loop().run_in_executor(None, self._writer.close)
        self._threads.shutdown()
        self._reader.close()


def _count(db: sqlite3.Connection, hits: Mapping[str, HitSavings], now: float) -> None:
    db.executemany(
        "UPDATE entries SET used = ?, hits = hits + ? WHERE key = ?", [(now, h.hits, key) for key, h in hits.items()]
    )
    sums = [(sum(getattr(h, name) for h in hits.values()), name) for name in ("hits", "tokens", "usd")]
    db.executemany("UPDATE numbers SET value = value + ? WHERE name = ?", sums)


def _delete(db: sqlite3.Connection, key: str) -> int:
    gone = db.execute("DELETE FROM entries WHERE key = ?", (key,)).rowcount
    if gone:
        db.execute("UPDATE numbers SET value = value + 1 WHERE name = 'version'")
    return gone


def _evict(db: sqlite3.Connection, limits: Limits, now: float, new: int) -> None:
    """Beyond the limits, down to the low-water mark: the least recently used first, never the entry just written."""
    db.execute("DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expires <= ? LIMIT 100)", (now,))
    n = dict(db.execute("SELECT name, value FROM numbers WHERE name IN ('entries', 'bytes')").fetchall())
    if n["entries"] <= limits.entries and n["bytes"] <= limits.bytes:
        return
    over = n["entries"] - limits.entries + limits.entries // _SPARE
    too_big = n["bytes"] - limits.bytes + limits.bytes // _SPARE
    oldest = "SELECT id, size FROM entries WHERE id != ? ORDER BY used, id LIMIT ?"
    while (over > 0 or too_big > 0) and (rows := db.execute(oldest, (new, _BATCH)).fetchall()):
        gone: list[tuple[int]] = []
        for id_, size in rows:
            if over <= 0 and too_big <= 0:
                break
            gone.append((id_,))
            over, too_big = over - 1, too_big - size
        db.executemany("DELETE FROM entries WHERE id = ?", gone)


@contextlib.contextmanager
def _overwriting(db: sqlite3.Connection) -> Iterator[None]:
    """What is deleted meanwhile is overwritten in the file: an entry that a user deletes should be gone."""
    db.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        db.execute(_NOT_OVERWRITING)


def _open(path: Path) -> sqlite3.Connection:
    """A damaged cache has no value: a file that is not a database, or has another version, is replaced by a new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        db = _connect(path)
        if db.execute("PRAGMA user_version").fetchone()[0] in (0, _VERSION):
            _set_up(db)
            return db
        db.close()
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.OperationalError):
            raise  # locked, read-only, a full disk: the file itself may be fine
    _move_aside(path)
    db = _connect(path)
    _set_up(db)
    return db


def _move_aside(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(Path(f"{path}.unusable{suffix}"))


def _set_up(db: sqlite3.Connection) -> None:
    use_write_ahead_log(db)
    db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")


def _connect(path: Path) -> sqlite3.Connection:
    ensure_private(path)
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 67108864")
    db.execute(_NOT_OVERWRITING)
    return db


def _short(key: str) -> bytes:
    return key[:32].encode("ascii", "replace")
