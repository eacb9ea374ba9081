"""A thread that writes to an SQLite file in group commits: writes submitted during a commit form the next one."""

from __future__ import annotations

import atexit
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from sluicegate.core.errors import StoreError

__all__ = ["Writer"]

Write = Callable[[sqlite3.Connection], object]

_MAX_GROUP: Final = 500
_MAX_QUEUED: Final = 64 * 1024 * 1024
_CLOSE_TIMEOUT_S: Final = 5.0


class Writer:
    """Owns the connection. A failed write does not affect the others of its group."""

    def __init__(self, db: sqlite3.Connection, name: str) -> None:
        self._db = db
        self._queue: queue.SimpleQueue[tuple[Write, int, Future[None]] | None] = queue.SimpleQueue()
        self._queued = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, write: Write, size: int = 0) -> Future[None]:
        """The future is done after the commit. `size`: bytes held in memory. Raises StoreError if too much is queued."""
        with self._lock:
            if self._closed:
                raise StoreError("the cache is closed")
            if self._queued and self._queued + size > _MAX_QUEUED:
                raise StoreError("the disk is too slow for the cache: too many bytes are waiting to be written")
            self._queued += size
        done: Future[None] = Future()
        self._queue.put((write, size, done))
        return done

    def close(self) -> None:
        """Write what is queued, and stop. Later calls do nothing."""
        atexit.unregister(self.close)
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        more = True
        while more:
            group = [self._queue.get()]
            while len(group) < _MAX_GROUP and not self._queue.empty():
                group.append(self._queue.get())
            more = None not in group
            self._commit([item for item in group if item])
        self._db.close()

    def _commit(self, group: list[tuple[Write, int, Future[None]]]) -> None:
        outcomes: list[tuple[Future[None], BaseException | None]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = [(done, self._one(write)) for write, _, done in group]
            self._db.execute("COMMIT")
        except sqlite3.Error as e:
            outcomes = [(done, e) for _, _, done in group]
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        with self._lock:
            self._queued -= sum(size for _, size, _ in group)
        for done, error in outcomes:
            if done.set_running_or_notify_cancel():
                done.set_exception(error) if error else done.set_result(None)

    def _one(self, write: Write) -> BaseException | None:
        try:
            self._db.execute("SAVEPOINT one")
            write(self._db)
            self._db.execute("RELEASE one")
        except Exception as e:
            if not self._db.in_transaction:
                raise
            self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")
            return e
        return None
