"""A Table in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

from sluicegate.core.limits.counters import EMPTY, Row
from sluicegate.core.limits.reservations import Reservation

__all__ = ["MemoryTable"]

_AT_ONCE: Final = 100
"""How many reservations one operation expires at most: no call pays for all of them."""


class MemoryTable:
    """Rows and reservations in dictionaries, and a heap of due times."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.reservations: dict[str, Reservation] = {}
        self._due: list[tuple[int, str]] = []

    def row(self, key: str) -> Row:
        return self.rows.get(key, EMPTY)

    def put(self, key: str, row: Row) -> None:
        self.rows[key] = row

    def reservation(self, id: str, /) -> Reservation | None:
        return self.reservations.get(id)

    def keep(self, id: str, reservation: Reservation | None, /) -> None:
        if reservation is None:
            self.reservations.pop(id, None)
            return
        self.reservations[id] = reservation
        heapq.heappush(self._due, (reservation.due_ms, id))

    def due(self, now_ms: int) -> Iterator[tuple[str, Reservation]]:
        heap = self._due
        for _ in range(_AT_ONCE):
            if not heap or heap[0][0] > now_ms:
                return
            at_ms, name = heapq.heappop(heap)
            known = self.reservations.get(name)
            if known is not None and known.due_ms == at_ms:  # else it was extended or settled
                yield name, known

    def sweep(self, now_ms: int) -> None:
        """Delete the counters that equal unused ones."""
        for key in [k for k, row in self.rows.items() if row.until_ms <= now_ms]:
            del self.rows[key]
