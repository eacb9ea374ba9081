"""Limits of all processes of one machine, in an SQLite file of their own.

A transaction takes some 100 µs, less than handing it to a thread and being told of its end. So it is done at once, where no
other process holds the file at that moment; else the thread waits for the file, does what has come meanwhile in one
transaction (group commit), and nothing overtakes it. Settlements, for which nobody waits, go along with the next
reservation, or by themselves a moment later. The thread also moves the log into the file, which waits for the disk.

`BEGIN IMMEDIATE` makes the processes take turns: each sees what the others have charged. A process that has the file for
itself (presence.py) makes one long turn of many short ones: the transaction stays open for some milliseconds, whoever
reserves is answered out of it at once, and nobody else can have charged anything meanwhile. A settlement is only said to be
done when it is committed.

The log is not flushed to the disk with each commit: a power cut may lose the latest charges. A crash of the process loses
those of its open turn, which are those of calls that it did not end.
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

_MOST_AT_ONCE: Final = 256
_CHECKPOINT_EVERY: Final = 500
"""Transactions between two moves of the log into the file."""
_LATER_S: Final = 0.01
"""How long a settlement waits for company."""
_TURN_S: Final = 0.02
"""How long a process that is alone keeps its transaction open."""


@dataclass(slots=True, eq=False)
class _Asked:
    """One operation, and who waits for it."""

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
        self._settled: list[_Asked] = []
        """Settlements in the open transaction."""
        self._trouble: StoreError | None = None
        """What went wrong when nobody waited."""
        self._waiting: list[_Asked] = []
        """Settlements that wait for company."""
        self._asked: queue.SimpleQueue[list[_Asked] | None] = queue.SimpleQueue()
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
        asked = _Asked(lambda table, now_ms: reservations.settle(table, id, used, now_ms), loop.create_future())
        if not self._waiting:
            loop.call_later(_LATER_S, self._send)
        self._waiting.append(asked)
        if self._file and self._file.begun:
            self._send()
        assert asked.answer
        return asked.answer

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
        self._end_turn()
        self._closed = True
        if self._thread:
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)
        if self._file:
            self._file.close()
        if self._presence:
            self._presence.close()

    # -- at once
    async def _do(self, operation: Operation) -> Any:
        self._check_open()
        if trouble := self._trouble:
            self._trouble = None
            raise trouble
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
            file = self._file = self._file or self._opened()
            if not (begun := file.begun):
                file.begin()
            file.do(batch, self._clock())
            if not begun and file.changed and self._presence and self._presence.is_alone():
                asyncio.get_running_loop().call_later(_TURN_S, self._end_turn)
                begun = True
            if begun:
                self._settled += [asked for asked in batch if asked.answer]
                return True
            file.commit(self._clock())
        except Exception as e:  # noqa: BLE001 - told to those who wait
            if _is_busy(e):
                return False
            self._fail([*self._settled, *batch], e)
        self._answer(batch)
        return True

    def _opened(self) -> LimitsFile:
        file = LimitsFile(self.path, 0.0)
        with contextlib.suppress(OSError):  # without it nobody is ever alone
            self._presence = self._presence or Presence(self.path)
        return file

    def _end_turn(self) -> None:
        """Commit what was done in an open transaction."""
        if not (self._file and self._file.begun):
            return
        try:
            self._file.commit(self._clock())
        except Exception as e:  # noqa: BLE001 - told to those who wait, and to whoever comes next
            self._fail(self._settled, e)
            self._trouble = self._said(e)
        self._answer([])

    def _fail(self, batch: Sequence[_Asked], e: Exception) -> None:
        for asked in batch:
            asked.error = self._said(e)

    def _said(self, e: Exception) -> StoreError:
        return e if isinstance(e, StoreError) else StoreError(f"{self.path}: {type(e).__name__}: {e}")

    # -- in the thread
    def _to_thread(self, batch: list[_Asked]) -> None:
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(loop,), name="limits", daemon=True)
            self._thread.start()
        self._asked.put(batch)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        file: LimitsFile | None = None
        while (batch := self._asked.get()) is not None:
            batches = 1 if batch else 0  # an empty one asks for a checkpoint
            while len(batch) < _MOST_AT_ONCE and not self._asked.empty():
                if (more := self._asked.get()) is None:
                    self._asked.put(None)
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
            except Exception as e:  # noqa: BLE001 - told to those who wait
                self._fail(batch, e)
            if batch and not loop.is_closed():
                loop.call_soon_threadsafe(self._back, batch, batches)
        if file:
            file.close()

    def _back(self, batch: list[_Asked], batches: int) -> None:
        self._in_thread -= batches
        self._answer(batch)

    def _answer(self, batch: Sequence[_Asked]) -> None:
        """A transaction has ended: tell those who wait for it."""
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


def _answer(served: Sequence[_Asked]) -> None:
    for asked in served:
        if asked.answer is None or asked.answer.done():  # nobody waits, or whoever did has given up
            continue
        if asked.error:
            asked.answer.set_exception(asked.error)
        else:
            asked.answer.set_result(asked.result)
