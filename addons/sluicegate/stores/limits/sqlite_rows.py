"""The Table of an SQLite file: a connection's cache of it and the changes of the open transaction.

Rows, and the time when the next reservation is due, stay cached until another process writes. Changes are collected and
written at the end of the transaction: a counter that ten operations change is written once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from sluicegate.core.limits.counters import EMPTY, Row
from sluicegate.core.limits.reservations import Reservation

__all__ = ["SCHEMA", "SqliteRows"]

SCHEMA: Final = """
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
_NEXT_DUE: Final = "SELECT MIN(due_ms) FROM reservations WHERE due_ms > ?"
_SWEEP: Final = "DELETE FROM counters WHERE until_ms <= ?"

_DUE_AT_ONCE: Final = 500
_SWEEP_MS: Final = 60_000
_MOST_KNOWN: Final = 20_000
_NEVER_MS: Final = 1 << 62
_SECOND_MS: Final = 1000
_MOST: Final = (1 << 63) - 1
"""The largest integer of SQLite; larger ones are stored as this."""

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Reservation).decode


class SqliteRows:
    """A Table. An operation's changes are accepted when it has succeeded; one that fails leaves none."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._version = -1
        self._swept_ms = 0
        self._next_due_ms: int | None = None
        """When the next reservation is due; None: unknown."""
        self.forget()

    # -- a transaction
    def begun(self) -> None:
        """A transaction has begun: the cache is valid if no other process has written since the last one."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        if version != self._version or len(self._rows) + len(self._live) > _MOST_KNOWN:
            self.forget()
            self._version = version

    def forget(self) -> None:
        """Drop the cache and all unwritten changes."""
        self._rows: dict[str, Row] = {}
        self._live: dict[str, Reservation] = {}
        self._changed: dict[str, Row] = {}
        self._kept: dict[str, Reservation | None] = {}
        self.undo()

    @property
    def changed(self) -> bool:
        """Whether there are unwritten changes."""
        return bool(self._changed or self._kept)

    def write(self) -> None:
        """Write all changes."""
        if self._changed:
            rows = [(key, *[n if n < _MOST else _MOST for n in row]) for key, row in self._changed.items()]
            self._db.executemany(_PUT_ROW, rows)
            self._changed.clear()
        if self._kept:
            kept = [(name, _due_ms(r), _ENCODE(r)) for name, r in self._kept.items() if r is not None]
            self._db.executemany(_PUT_RESERVATION, kept)
            if len(kept) < len(self._kept):
                self._db.executemany(_FORGET, [(name,) for name, r in self._kept.items() if r is None])
            self._kept.clear()

    def sweep(self, now_ms: int) -> None:
        """Once a minute: delete the counters that equal unused ones."""
        if not 0 <= now_ms - self._swept_ms <= _SWEEP_MS:
            self._db.execute(_SWEEP, (now_ms,))
            self._swept_ms = now_ms

    # -- an operation
    def accept(self) -> None:
        """The operation has succeeded."""
        self._rows.update(self._put)
        self._changed.update(self._put)
        self._put.clear()
        for name, reservation in self._keep.items():
            self._kept[name] = reservation
            if reservation is None or reservation.state != "live":
                self._live.pop(name, None)
            else:
                self._live[name] = reservation
            if reservation is not None and self._next_due_ms is not None:
                self._next_due_ms = min(self._next_due_ms, _due_ms(reservation))
        self._keep.clear()

    def undo(self) -> None:
        """The operation has failed."""
        self._put: dict[str, Row] = {}
        self._keep: dict[str, Reservation | None] = {}
        self._next_due_ms = None

    def row(self, key: str) -> Row:
        row = self._put.get(key) or self._rows.get(key)
        if row is None:
            found = self._db.execute(_ROW, (key,)).fetchone()
            row = self._rows[key] = Row(*found) if found else EMPTY
        return row

    def put(self, key: str, row: Row) -> None:
        self._put[key] = row

    def reservation(self, id: str, /) -> Reservation | None:
        for known in (self._keep, self._kept, self._live):
            if id in known:
                return known[id]
        found = self._db.execute(_RESERVATION, (id,)).fetchone()
        return _DECODE(found[0]) if found else None

    def keep(self, id: str, reservation: Reservation | None, /) -> None:
        self._keep[id] = reservation

    def due(self, now_ms: int) -> Iterator[tuple[str, Reservation]]:
        if self._next_due_ms is not None and now_ms < self._next_due_ms:
            return
        self.write()
        found = self._db.execute(_DUE, (now_ms, _DUE_AT_ONCE)).fetchall()
        self._next_due_ms = self._after(now_ms) if len(found) < _DUE_AT_ONCE else 0
        for name, reservation in found:
            yield name, _DECODE(reservation)

    def _after(self, now_ms: int) -> int:
        (due_ms,) = self._db.execute(_NEXT_DUE, (now_ms,)).fetchone()
        return _NEVER_MS if due_ms is None else int(due_ms)


def _due_ms(reservation: Reservation) -> int:
    """Rounded up to a second for reservations that are only remembered, so that they are deleted together."""
    due_ms = reservation.due_ms
    return due_ms if reservation.state == "live" else -(-due_ms // _SECOND_MS) * _SECOND_MS
