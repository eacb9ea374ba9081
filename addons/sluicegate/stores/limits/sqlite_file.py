"""The file that SQLite keeps limits in: its tables, and transactions on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from sluicegate.core.limits.book import Reservation, Table
from sluicegate.core.limits.counters import EMPTY, Row
from sluicegate.errors import StoreError

__all__ = ["BUSY_S", "LimitsFile", "Operation"]

BUSY_S: Final = 5.0
"""How long a transaction may wait for those of other processes."""
_DUE_AT_ONCE: Final = 500
_SWEEP_MS: Final = 60_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counters (
    key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, used INTEGER NOT NULL, held INTEGER NOT NULL, until_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    id TEXT PRIMARY KEY, due_ms INTEGER NOT NULL, reservation BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_due ON reservations (due_ms);
PRAGMA user_version = 1;
"""
_ROW: Final = "SELECT at_ms, used, held, until_ms FROM counters WHERE key = ?"
_PUT_ROW: Final = "INSERT OR REPLACE INTO counters (key, at_ms, used, held, until_ms) VALUES (?, ?, ?, ?, ?)"
_RESERVATION: Final = "SELECT reservation FROM reservations WHERE id = ?"
_PUT_RESERVATION: Final = "INSERT OR REPLACE INTO reservations (id, due_ms, reservation) VALUES (?, ?, ?)"
_FORGET: Final = "DELETE FROM reservations WHERE id = ?"
_DUE: Final = "SELECT id, reservation FROM reservations WHERE due_ms <= ? LIMIT ?"
_SWEEP: Final = "DELETE FROM counters WHERE until_ms <= ?"

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Reservation).decode

Operation = Callable[[Table, int], Any]
"""What is done to the table at a time in milliseconds."""


class Asked(Protocol):
    """One operation, and where its result goes."""

    @property
    def operation(self) -> Operation: ...

    result: Any


class _Rows:
    """A Table inside one transaction: reads each row once, writes what has changed at the end."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: dict[str, Row] = {}
        self._changed: dict[str, Row] = {}
        self._reservations: dict[str, Reservation | None] = {}
        self._kept: dict[str, Reservation | None] = {}
        self._looked = False

    def row(self, key: str) -> Row:
        row = self._rows.get(key)
        if row is None:
            found = self._db.execute(_ROW, (key,)).fetchone()
            row = self._rows[key] = Row(*found) if found else EMPTY
        return row

    def put(self, key: str, row: Row) -> None:
        self._rows[key] = self._changed[key] = row

    def reservation(self, id: str, /) -> Reservation | None:
        if id not in self._reservations:
            found = self._db.execute(_RESERVATION, (id,)).fetchone()
            self._reservations[id] = _DECODE(found[0]) if found else None
        return self._reservations[id]

    def keep(self, id: str, reservation: Reservation | None, /) -> None:
        self._reservations[id] = self._kept[id] = reservation

    def due(self, now_ms: int) -> Iterator[tuple[str, Reservation]]:
        if self._looked:
            return
        self._looked = True
        for name, _ in self._db.execute(_DUE, (now_ms, _DUE_AT_ONCE)).fetchall():
            known = self.reservation(name)
            if known is not None and known.due_ms <= now_ms:  # else settled or extended in this same transaction
                yield name, known

    def write(self) -> None:
        self._db.executemany(_PUT_ROW, [(key, *row) for key, row in self._changed.items()])
        kept = [(name, r.due_ms, _ENCODE(r)) for name, r in self._kept.items() if r]
        self._db.executemany(_PUT_RESERVATION, kept)
        if gone := [(name,) for name, r in self._kept.items() if r is None]:
            self._db.executemany(_FORGET, gone)


class LimitsFile:
    """One connection to the file, and transactions on it."""

    def __init__(self, path: Path, busy_s: float) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as e:
            raise StoreError(f"cannot open {path}: {e.strerror}") from e
        self._db = db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._swept_ms = 0
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            if db.execute("PRAGMA user_version").fetchone()[0] < 1:
                db.executescript(_SCHEMA)
            db.execute(f"PRAGMA busy_timeout = {int(busy_s * 1000)}")
        except sqlite3.Error:
            db.close()
            raise

    def transact(self, batch: Sequence[Asked], now_ms: int) -> None:
        """All of them, or none."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            table = _Rows(db)
            for asked in batch:
                asked.result = asked.operation(table, now_ms)
            table.write()
            if now_ms - self._swept_ms > _SWEEP_MS:
                db.execute(_SWEEP, (now_ms,))
                self._swept_ms = now_ms
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def checkpoint(self) -> None:
        """Move the log into the file."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._db.close()
