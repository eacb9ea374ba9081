"""A connection to the SQLite file of the limits, and its transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from sluicegate.core.errors import StoreError
from sluicegate.core.limits.reservations import Table
from sluicegate.stores.limits.sqlite_rows import SCHEMA, SqliteRows
from sluicegate.stores.private_file import ensure_private
from sluicegate.stores.write_ahead_log import use_write_ahead_log

__all__ = ["BUSY_S", "LimitsFile", "Operation"]

BUSY_S: Final = 5.0
"""How long a transaction waits for those of other processes."""

Operation = Callable[[Table, int], Any]
"""A function of the table and the time in milliseconds."""


class Asked(Protocol):
    """One operation, and where its result or error goes."""

    @property
    def operation(self) -> Operation: ...

    result: Any
    error: Exception | None


class LimitsFile:
    """One connection to the file. Between `begin` and `commit` no other process writes, or sees the changes."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            ensure_private(path)
        except OSError as e:
            raise StoreError(f"cannot open {path}: {e.strerror}") from e
        self._db = db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            use_write_ahead_log(db)
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            if db.execute("PRAGMA user_version").fetchone()[0] < 1:
                db.executescript(SCHEMA)
            db.execute(f"PRAGMA busy_timeout = {int(busy_s * 1000)}")
        except sqlite3.Error:
            db.close()
            raise
        self._rows = SqliteRows(db)

    @property
    def begun(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    @property
    def changed(self) -> bool:
        """Whether the open transaction has unwritten changes."""
        return self._rows.changed

    def begin(self) -> None:
        """Raises sqlite3.OperationalError if another process holds the file for too long."""
        self._db.execute("BEGIN IMMEDIATE")
        self._rows.begun()

    def do(self, batch: Sequence[Asked], now_ms: int) -> None:
        """Run operations in the open transaction. A bug undoes its own one; a failing file (sqlite3.Error) undoes all."""
        for asked in batch:
            try:
                asked.result = asked.operation(self._rows, now_ms)
                self._rows.accept()
            except Exception as e:
                self._rows.undo()
                if isinstance(e, sqlite3.Error):
                    self.roll_back()
                    raise
                asked.error = StoreError(f"{self.path}: {type(e).__name__}: {e}")

    def commit(self, now_ms: int) -> None:
        """Raises sqlite3.Error if the file fails; the transaction is then rolled back."""
        try:
            self._rows.write()
            self._rows.sweep(now_ms)
            self._db.execute("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        self._rows.forget()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._db.close()
