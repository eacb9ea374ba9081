"""Limits of all processes of one machine, in an SQLite file of their own.

A transaction takes some 30 µs, less than handing it to a thread and being told of its end. So it is done at once, where no
other process holds the file at that moment; else the thread waits for the file, does what has come meanwhile in one
transaction (group commit), and nothing overtakes it. Settlements, for which nobody waits, go along with the next
reservation, or by themselves a moment later. The thread also moves the log into the file, which waits for the disk.

`BEGIN IMMEDIATE` makes the processes take turns: each sees what the others have charged. The log is not flushed to the disk
with each commit: a power cut may lose the latest charges, a crash of the process loses none.
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
_CHECKPOINT_EVERY: Final = 500
"""Transactions between two moves of the log into the file."""
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


@dataclass(slots=True, eq=False)
class _Asked:
    """One operation, and who waits for it."""

    operation: Operation
    answer: asyncio.Future[Any] | None = None
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


class _File:
    """One connection to the file, and transactions on it."""

    def __init__(self, path: Path, busy_s: float) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as e:
            raise StoreError(f"cannot open {path}: {e.strerror}") from e
        self._db = db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
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

    def transact(self, batch: Sequence[_Asked], now_ms: int) -> None:
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
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._db.close()


class SqliteLimits:
    """A LimitStore for the processes of one machine; used from one event loop."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or wall_ms
        self._file: _File | None = None
        self._waiting: list[_Asked] = []
        """Settlements that wait for company."""
        self._asked: queue.SimpleQueue[list[_Asked] | None] = queue.SimpleQueue()
        self._in_thread = 0
        self._thread: threading.Thread | None = None
        self._transactions = 0
        self._closed = False

    async def reserve(self, request: ReserveRequest) -> Verdict:
        verdict: Verdict = await self._do(lambda table, now_ms: book.reserve(table, request, now_ms))
        return verdict

    async def settle(self, id: str, used: Sequence[Charge], /) -> None:
        self._check_open()
        loop = asyncio.get_running_loop()
        asked = _Asked(lambda table, now_ms: book.settle(table, id, used, now_ms), loop.create_future())
        if not self._waiting:
            loop.call_later(_LATER_S, self._send)
        self._waiting.append(asked)
        assert asked.answer
        await asked.answer

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
        self._send()
        self._closed = True
        if self._thread:
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._file:
            self._file.close()

    # -- at once
    async def _do(self, operation: Operation) -> Any:
        self._check_open()
        asked = _Asked(operation)
        self._waiting.append(asked)
        self._send()
        if asked.answer:
            return await asked.answer
        if asked.error:
            raise asked.error
        return asked.result

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} is closed")

    def _send(self) -> None:
        """Do what waits; what can not be done at once goes to the thread."""
        batch, self._waiting = self._waiting, []
        if batch and (self._in_thread or not self._at_once(batch)):
            for asked in batch:
                asked.answer = asked.answer or asyncio.get_running_loop().create_future()
            self._in_thread += 1
            self._to_thread(batch)

    def _at_once(self, batch: list[_Asked]) -> bool:
        """False: another process holds the file."""
        try:
            self._file = self._file or _File(self.path, 0.0)
            self._file.transact(batch, self._clock())
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return False
            self._fail(batch, e)
        except Exception as e:  # noqa: BLE001 - told to those who wait
            if len(batch) > 1 and not isinstance(e, sqlite3.Error | StoreError):
                alone = [self._at_once([asked]) for asked in batch]  # one has a bug: the others get their turn
                return all(alone)
            self._fail(batch, e)
        _answer(batch)
        self._count()
        return True

    def _fail(self, batch: list[_Asked], e: Exception) -> None:
        for asked in batch:
            asked.error = e if isinstance(e, StoreError) else StoreError(f"{self.path}: {type(e).__name__}: {e}")

    # -- in the thread
    def _to_thread(self, batch: list[_Asked]) -> None:
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(loop,), name="limits", daemon=True)
            self._thread.start()
        self._asked.put(batch)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        file: _File | None = None
        while (batch := self._asked.get()) is not None:
            batches = 1 if batch else 0  # an empty one asks for a checkpoint
            while len(batch) < _MOST_AT_ONCE and not self._asked.empty():
                if (more := self._asked.get()) is None:
                    self._asked.put(None)
                    break
                batch, batches = batch + more, batches + (1 if more else 0)
            try:
                file = file or _File(self.path, _BUSY_S)
                if batch:
                    file.transact(batch, self._clock())
                else:
                    file.checkpoint()
            except Exception as e:  # noqa: BLE001 - told to those who wait
                self._fail(batch, e)
            if batch and not loop.is_closed():
                loop.call_soon_threadsafe(self._back, batch, batches)
        if file:
            file.close()

    def _back(self, batch: list[_Asked], batches: int) -> None:
        self._in_thread -= batches
        _answer(batch)
        self._count()

    def _count(self) -> None:
        self._transactions += 1
        if self._transactions % _CHECKPOINT_EVERY == 0 and not self._closed:
            self._to_thread([])


def _answer(served: Sequence[_Asked]) -> None:
    for asked in served:
        if asked.answer is None or asked.answer.done():  # nobody waits, or whoever did has given up
            continue
        if asked.error:
            asked.answer.set_exception(asked.error)
        else:
            asked.answer.set_result(asked.result)
