"""Limits shared by the processes of one machine, in an SQLite file.

A transaction takes about 100 µs, less than a round trip to a thread. So it runs on the event loop unless another process
holds the file. Then a thread waits for the file and runs everything that has arrived meanwhile in one transaction (group
commit); nothing overtakes it. No caller waits for a settlement: it joins the next reservation, or runs by itself a moment
later. The thread also checkpoints the write-ahead log, which waits for the disk.

`BEGIN IMMEDIATE` serializes the processes: each sees the charges of the others. A process that is the only user of the file
(presence.py) keeps its transaction open for some milliseconds and answers reservations from it at once. No other process
can change a counter while it is open. A settlement is reported done when it is committed.

The log is not flushed to disk with each commit: a power failure may lose the latest charges. A crash loses the changes of
the open transaction: reservations that the crash ends anyway, and the usage of calls that ended in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sluicegate.core.errors import StoreError
from sluicegate.core.limits import reservations
from sluicegate.core.limits.counters import Charge, Counter, LimitUsage
from sluicegate.core.limits.reservations import ReserveRequest, Verdict
from sluicegate.stores.limits.base import Clock, wall_ms
from sluicegate.stores.limits.presence import Presence
from sluicegate.stores.limits.sqlite_file import BUSY_S, LimitsFile, Operation

__all__ = ["SqliteLimits"]

_MAX_BATCH: Final = 256
_CHECKPOINT_EVERY: Final = 500
"""Transactions between two checkpoints of the log."""
_JOIN_S: Final = 0.01
"""How long a settlement waits for others to join."""
_HOLD_S: Final = 0.02
"""How long the only user of a file keeps its transaction open."""


@dataclass(slots=True, eq=False)
class _Queued:
    """One operation and its result."""

    operation: Operation
    answer: asyncio.Future[Any] | None = None
    result: Any = None
    error: Exception | None = None


class SqliteLimits:
    """A LimitStore for the processes of one machine; used from one event loop."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or wall_ms
        self._file: LimitsFile | None = None
        self._presence: Presence | None = None
        self._settled: list[_Queued] = []
        """Settlements in the open transaction."""
        self._pending_error: StoreError | None = None
        """An error for the next caller: no caller waited for the commit that failed."""
        self._waiting: list[_Queued] = []
        """Operations for the next transaction."""
        self._batches: queue.SimpleQueue[list[_Queued] | None] = queue.SimpleQueue()
        self._in_thread = 0
        self._thread: threading.Thread | None = None
        self._transactions = 0
        self._closed = False

    async def reserve(self, request: ReserveRequest) -> Verdict:
        verdict: Verdict = await self._do(lambda table, now_ms: reservations.reserve(table, request, now_ms))
        return verdict

    def settle(self, id: str, used: Sequence[Charge], /) -> asyncio.Future[Any]:
        self._check_open()
        loop = asyncio.get_running_loop()
        queued = _Queued(lambda table, now_ms: reservations.settle(table, id, used, now_ms), loop.create_future())
        if not self._waiting:
            loop.call_later(_JOIN_S, self._send)
        self._waiting.append(queued)
        if self._file and self._file.begun:
            self._send()
        assert queued.answer
        return queued.answer

    async def free_slots(self, id: str, /) -> None:
        await self._do(lambda table, _: reservations.free_slots(table, id))

    async def release(self, id: str, /) -> None:
        await self.settle(id, ())

    async def extend(self, ids: Sequence[str], lease_ms: int) -> None:
        await self._do(lambda table, now_ms: reservations.extend(table, ids, lease_ms, now_ms))

    async def peek(self, counters: Sequence[Counter]) -> tuple[LimitUsage, ...]:
        usage: tuple[LimitUsage, ...] = await self._do(lambda table, now_ms: reservations.peek(table, counters, now_ms))
        return usage

    async def close(self) -> None:
        if self._closed:
            return
        self._send()
        self._commit()
        self._closed = True
        if self._thread:
            self._batches.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._file:
            self._file.close()
        if self._presence:
            self._presence.close()

    # -- on the event loop
    async def _do(self, operation: Operation) -> Any:
        self._check_open()
        if error := self._pending_error:
            self._pending_error = None
            raise error
        queued = _Queued(operation)
        self._waiting.append(queued)
        self._send()
        if queued.answer:
            return await queued.answer
        if queued.error:
            raise queued.error
        return queued.result

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} is closed")

    def _send(self) -> None:
        """Run the waiting operations, in the thread if the file is not free."""
        batch, self._waiting = self._waiting, []
        if batch and (self._in_thread or not self._try_here(batch)):
            for queued in batch:
                queued.answer = queued.answer or asyncio.get_running_loop().create_future()
            self._in_thread += 1
            self._to_thread(batch)

    def _try_here(self, batch: list[_Queued]) -> bool:
        """False: another process holds the file."""
        try:
            file = self._file = self._file or self._opened()
            if not (begun := file.begun):
                file.begin()
            file.do(batch, self._clock())
            if not begun and file.changed and self._presence and self._presence.is_alone():
                asyncio.get_running_loop().call_later(_HOLD_S, self._commit)
                begun = True
            if begun:
                self._settled += [queued for queued in batch if queued.answer]
                return True
            file.commit(self._clock())
        except Exception as e:  # noqa: BLE001 - raised to the callers
            if _is_busy(e):
                return False
            self._fail([*self._settled, *batch], e)
        self._answer(batch)
        return True

    def _opened(self) -> LimitsFile:
        file = LimitsFile(self.path, 0.0)
        with contextlib.suppress(OSError):  # without a lock, always assume other users
            self._presence = self._presence or Presence(self.path)
        return file

    def _commit(self) -> None:
        """Commit the open transaction."""
        if not (self._file and self._file.begun):
            return
        try:
            self._file.commit(self._clock())
        except Exception as e:  # noqa: BLE001 - raised to the callers and to the next one
            self._fail(self._settled, e)
            self._pending_error = self._store_error(e)
        self._answer([])

    def _fail(self, batch: Sequence[_Queued], e: Exception) -> None:
        for queued in batch:
            queued.error = self._store_error(e)

    def _store_error(self, e: Exception) -> StoreError:
        return e if isinstance(e, StoreError) else StoreError(f"{self.path}: {type(e).__name__}: {e}")

    # -- in the thread
    def _to_thread(self, batch: list[_Queued]) -> None:
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(loop,), name="limits", daemon=True)
            self._thread.start()
        self._batches.put(batch)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        file: LimitsFile | None = None
        while (batch := self._batches.get()) is not None:
            batches = 1 if batch else 0  # an empty one asks for a checkpoint
            while len(batch) < _MAX_BATCH and not self._batches.empty():
                if (more := self._batches.get()) is None:
                    self._batches.put(None)
                    break
                batch, batches = batch + more, batches + (1 if more else 0)
            try:
                file = file or LimitsFile(self.path, BUSY_S)
                if batch:
                    file.begin()
                    file.do(batch, self._clock())
                    file.commit(self._clock())
                else:
                    file.checkpoint()
            except Exception as e:  # noqa: BLE001 - raised to the callers
                self._fail(batch, e)
            if batch and not loop.is_closed():
                loop.call_soon_threadsafe(self._ran_in_thread, batch, batches)
        if file:
            file.close()

    def _ran_in_thread(self, batch: list[_Queued], batches: int) -> None:
        self._in_thread -= batches
        self._answer(batch)

    def _answer(self, batch: Sequence[_Queued]) -> None:
        """A transaction has ended: give its results to the callers."""
        settled, self._settled = self._settled, []
        _answer([*settled, *batch])
        self._transactions += 1
        if self._transactions % _CHECKPOINT_EVERY == 0 and not self._closed:
            self._to_thread([])


def _is_busy(e: Exception) -> bool:
    return isinstance(e, sqlite3.OperationalError) and e.sqlite_errorcode & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _answer(served: Sequence[_Queued]) -> None:
    for queued in served:
        if queued.answer is None or queued.answer.done():  # no caller waits, or it was cancelled
            continue
        if queued.error:
            queued.answer.set_exception(queued.error)
        else:
            queued.answer.set_result(queued.result)
