"""Limits of all processes of one machine, in an SQLite file of their own.

One thread writes. It takes whatever has come in and does it in one transaction (group commit), so that under load a call
does not wait for a transaction of its own. Settlements, which nobody waits for, go along with the next reservation, or by
themselves a moment later. `BEGIN IMMEDIATE` makes the processes take turns: each sees what the others
have charged. The log is not flushed to the disk with each commit: a power cut may lose the latest charges, a crash of the
process loses none.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from sluicegate.core.limits import book
from sluicegate.core.limits.book import Reservation, ReserveRequest, Table, Verdict
from sluicegate.core.limits.counters import EMPTY, Charge, Counter, Level, Row
from sluicegate.errors import StoreError
from sluicegate.stores.limits.base import Clock, wall_ms

__all__ = ["SqliteLimits"]

_BUSY_S: Final = 5.0
"""How long a transaction waits for those of other processes."""
_MOST_AT_ONCE: Final = 256
_LATER_S: Final = 0.01
"""How long a settlement waits for company."""
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


@dataclass(slots=True)
class _Asked:
    """One operation, and who waits for it."""

    operation: Operation
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


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


class SqliteLimits:
    """A LimitStore for the processes of one machine."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or wall_ms
        self._asked: queue.SimpleQueue[list[_Asked] | None] = queue.SimpleQueue()
        self._waiting: list[_Asked] = []
        self._thread: threading.Thread | None = None
        self._db: sqlite3.Connection | None = None
        self._swept_ms = 0
        self._closed = False

    async def reserve(self, request: ReserveRequest) -> Verdict:
        verdict: Verdict = await self._do(lambda table, now_ms: book.reserve(table, request, now_ms))
        return verdict

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        await self._do(lambda table, now_ms: book.settle(table, id, used, now_ms), later=True)

    async def release(self, id: str, /) -> None:
        await self.settle(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        await self._do(lambda table, now_ms: book.extend(table, ids, lease_ms, now_ms))

    async def peek(self, counters: Sequence[Counter]) -> tuple[Level, ...]:
        levels: tuple[Level, ...] = await self._do(lambda table, now_ms: book.peek(table, counters, now_ms))
        return levels

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._send()
        if self._thread:
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)

    def _do(self, operation: Operation, *, later: bool = False) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="limits", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if later and not self._waiting:
            loop.call_later(_LATER_S, self._send)
        self._waiting.append(_Asked(operation, loop, answer))
        if not later:
            self._send()
        return answer

    def _send(self) -> None:
        if self._waiting:
            self._asked.put(self._waiting)
            self._waiting = []

    # -- in the thread
    def _write(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            if batch:
                self._serve(batch)
        if self._db:
            self._db.close()

    def _next_batch(self) -> tuple[list[_Asked], bool]:
        first = self._asked.get()
        if first is None:
            return [], False
        while len(first) < _MOST_AT_ONCE and not self._asked.empty():
            if (more := self._asked.get()) is None:
                return first, False
            first += more
        return first, True

    def _serve(self, batch: list[_Asked]) -> None:
        try:
            self._transact(batch)
        except Exception as e:  # noqa: BLE001 - told to those who wait
            if len(batch) == 1 or isinstance(e, sqlite3.Error):
                for asked in batch:
                    asked.error = StoreError(f"{self.path}: {type(e).__name__}: {e}")
            else:  # one of them has a bug: the others get their turn
                for asked in batch:
                    self._serve([asked])
                return
        for loop in {asked.loop for asked in batch}:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_answer, [asked for asked in batch if asked.loop is loop])

    def _transact(self, batch: list[_Asked]) -> None:
        db = self._db = self._db or self._open()
        now_ms = self._clock()
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

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as e:
            raise StoreError(f"cannot open {self.path}: {e.strerror}") from e
        db = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        return db


def _answer(served: list[_Asked]) -> None:
    for asked in served:
        if asked.answer.done():  # whoever waited has given up
            continue
        if asked.error:
            asked.answer.set_exception(asked.error)
        else:
            asked.answer.set_result(asked.result)
