"""Keys in a SQLite file: readable by its owner only, shared by all gates and commands of one machine."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.stores.keys.base import NoSuchKey, decoded, encoded
from sluicegate.stores.private_file import ensure_private
from sluicegate.stores.write_ahead_log import use_write_ahead_log

__all__ = ["SqliteKeys"]

_BUSY_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, created_at REAL NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT OR IGNORE INTO meta VALUES ('version', '0');
"""


class SqliteKeys:
    """A KeyStore in one file (WAL, 0600)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            ensure_private(path)
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"{path}: {_why(e)}; make the gate's user the owner of the folder") from e
        try:
            use_write_ahead_log(self._db)
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
        except sqlite3.Error as e:
            self._db.close()
            raise StoreError(f"{path}: {_why(e)}") from e

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time; rolled back if the block raises."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as e:
                raise StoreError(f"{self.path}: {_why(e)}") from e

    def _read(self, query: str, *values: object) -> list[tuple[str, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as e:
                raise StoreError(f"{self.path}: {_why(e)}") from e

    def add(self, record: KeyRecord) -> None:
        with self._transaction() as db:
            try:
                db.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?)",
                    (record.id, record.digest, record.created_at, encoded(record)),
                )
            except sqlite3.IntegrityError as e:
                raise StoreError(f"a key with the id {record.id}, or the same key, exists already") from e
            _bump_version(db)

    def all(self) -> list[KeyRecord]:
        return [decoded(text) for (text,) in self._read("SELECT record FROM keys ORDER BY created_at, id")]

    def change(self, key_id: str, fn: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        with self._transaction() as db:
            row = db.execute("SELECT record FROM keys WHERE id = ?", (key_id,)).fetchone()
            if row is None:
                raise NoSuchKey(f"no key has the id {key_id}; `sluicegate keys list` shows them")
            record = fn(decoded(row[0]))
            db.execute("UPDATE keys SET digest = ?, record = ? WHERE id = ?", (record.digest, encoded(record), key_id))
            _bump_version(db)
        return record

    def version(self) -> int:
        return int(self._read("SELECT value FROM meta WHERE name = 'version'")[0][0])

    def claim(self, fingerprint: str) -> bool:
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('server_key', ?)", (fingerprint,))
            (kept,) = db.execute("SELECT value FROM meta WHERE name = 'server_key'").fetchone()
        return bool(kept == fingerprint)

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _bump_version(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'version'")


def _why(e: Exception) -> str:
    return (e.strerror or "cannot be used") if isinstance(e, OSError) else str(e)
