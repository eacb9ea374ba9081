"""Puts a SQLite file into the mode in which readers do not wait for a writer (sqlite.org, "Write-Ahead Logging")."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

__all__ = ["use_write_ahead_log"]

_PAUSE_S: Final = 0.01


def use_write_ahead_log(
    db: sqlite3.Connection, within_s: float = 5.0, pause: Callable[[float], object] = time.sleep
) -> None:
    """Switch the file of a connection; raises sqlite3.OperationalError if others keep it busy for `within_s`.

    SQLite does not wait its busy timeout for this lock: if two processes open a new file at once, one of them gets
    `database is locked` immediately. So it is tried again here.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            pause(_PAUSE_S)
        else:
            return
