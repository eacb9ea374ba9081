"""Placeholder numbers in a SQLite file (WAL): they survive a restart, and the workers of one machine share them.

A dedicated thread does all writing, and commits waiting jobs together. A request with only known values is answered from
the cache.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluicegate.core.errors import StoreError
from sluicegate.stores.placeholder_numbers.base import (
    EXPIRY_S,
    MAX_CONVERSATIONS,
    ConversationCache,
    TooManyValues,
    ValueKey,
    assign_missing,
)
from sluicegate.stores.private_file import ensure_private
from sluicegate.stores.write_ahead_log import use_write_ahead_log

__all__ = ["SqlitePlaceholderNumbers"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS conversations (id BLOB PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conversations_seen ON conversations (seen);
CREATE TABLE IF NOT EXISTS ranks (
    conversation BLOB NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (conversation, kind, digest)
) WITHOUT ROWID;
"""
_FRESH_S: Final = 3600.0
"""Maximum age of a cached conversation. The next look-up in the file also records that it is in use."""
_BATCH: Final = 256
_BUSY_MS: Final = 5000
_DELETE_EVERY: Final = 500
"""New conversations between two deletions of expired ones."""


@dataclass(slots=True)
class _Job:
    conversation: bytes
    keys: Sequence[ValueKey]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Mapping[ValueKey, int]]


class SqlitePlaceholderNumbers:
    """Numbers in the file at `path`. `clock` returns Unix seconds."""

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, max_conversations: int = MAX_CONVERSATIONS
    ) -> None:
        self._cache = ConversationCache(clock, 2000)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        try:
            ensure_private(path)
            db = _open(path)
        except (OSError, sqlite3.Error) as e:
            raise StoreError(f"{path} cannot be used: {e}") from e
        self._writer = _Writer(db, clock, max_conversations)
        self._thread = threading.Thread(
            target=self._writer.run, args=(self._queue,), name="sluicegate-placeholder-numbers", daemon=True
        )
        self._thread.start()
        self._finalizer = weakref.finalize(self, self._queue.put, None)

    def cached(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int] | None:
        return self._cache.get(conversation, keys, _FRESH_S)

    async def assign(self, conversation: bytes, keys: Sequence[ValueKey]) -> Mapping[ValueKey, int]:
        if not self._finalizer.alive:
            raise StoreError("placeholder numbers cannot be stored: the store is closed")
        loop = asyncio.get_running_loop()
        job = _Job(conversation, keys, loop, loop.create_future())
        self._queue.put(job)
        numbers = await job.future
        self._cache.put(conversation, numbers)
        return numbers

    async def close(self) -> None:
        """Commit the waiting jobs, and end the thread."""
        self._finalizer()
        await asyncio.to_thread(self._thread.join)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        use_write_ahead_log(db)
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


class _Writer:
    """The work of the thread."""

    def __init__(self, db: sqlite3.Connection, clock: Callable[[], float], max_conversations: int) -> None:
        self._db = db
        self._clock = clock
        self._max = max_conversations
        self._begun = _DELETE_EVERY  # delete once at the start

    def run(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        open_ = True
        while open_:
            first = jobs.get()
            batch = [first] if first else []
            open_ = first is not None
            while open_ and len(batch) < _BATCH and not jobs.empty():
                job = jobs.get()
                open_ = job is not None
                if job is not None:
                    batch.append(job)
            self._commit(batch)
        self._db.close()

    def _commit(self, batch: Sequence[_Job]) -> None:
        done: list[tuple[_Job, Mapping[ValueKey, int] | Exception]] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                done = [(job, self._assign(job)) for job in batch]
                self._delete_old()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except Exception as e:  # noqa: BLE001 - every waiting request must get an answer
            error = StoreError(f"placeholder numbers cannot be stored: {e}")
            done = [(job, error) for job in batch]
        for job, result in done:
            _deliver(job, result)

    def _assign(self, job: _Job) -> Mapping[ValueKey, int] | Exception:
        db, conversation = self._db, job.conversation
        rows = db.execute("SELECT kind, digest, n FROM ranks WHERE conversation = ?", (conversation,))
        numbers: dict[ValueKey, int] = {(kind, digest): n for kind, digest, n in rows}
        self._begun += not numbers
        try:
            assigned = assign_missing(numbers, job.keys)
        except TooManyValues as e:
            return e
        db.execute("INSERT OR REPLACE INTO conversations VALUES (?, ?)", (conversation, self._clock()))
        db.executemany(
            "INSERT INTO ranks VALUES (?, ?, ?, ?)", [(conversation, kind, digest, n) for (kind, digest), n in assigned]
        )
        return {key: numbers[key] for key in job.keys}

    def _delete_old(self) -> None:
        if self._begun < _DELETE_EVERY:
            return
        self._begun = 0
        db = self._db
        db.execute("DELETE FROM conversations WHERE seen < ?", (self._clock() - EXPIRY_S,))
        db.execute(
            "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations ORDER BY seen DESC LIMIT -1 OFFSET ?)",
            (self._max,),
        )
        db.execute("DELETE FROM ranks WHERE conversation NOT IN (SELECT id FROM conversations)")


def _deliver(job: _Job, result: Mapping[ValueKey, int] | Exception) -> None:
    def settle() -> None:
        if job.future.done():
            return  # cancelled
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

    if not job.loop.is_closed():
        job.loop.call_soon_threadsafe(settle)
