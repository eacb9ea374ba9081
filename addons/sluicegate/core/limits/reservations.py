"""The book: reservations made, settled once, released, extended, expired. All counters of a request at once, or none.

The functions work on a `Table`, which a store provides and makes atomic; Redis runs the same rules in Lua.

    reserve   every counter must have room, else nothing is charged
    settle    give back what was reserved, charge what was used; only the first call for a reservation does anything
    release   settle with nothing used
    expire    the process that held it is gone: seats and budgets are free again, what was taken from rates drains by itself

A budget is charged in the window in which the call was admitted. A reservation that has expired can still be settled, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol

import msgspec

from sluicegate.core.limits.counters import (
    SET_BACK_MS,
    STORED,
    Charge,
    Counter,
    Hold,
    LimitUsage,
    Row,
    StoredKind,
    released,
)

__all__ = [
    "Admitted",
    "Denied",
    "Reservation",
    "ReserveRequest",
    "Table",
    "Verdict",
    "denial",
    "extend",
    "peek",
    "release",
    "reserve",
    "settle",
]

SETTLED_KEPT_MS: Final = 60_000
"""How long it is remembered that a reservation was settled."""
EXPIRED_KEPT_MS: Final = 3_600_000
"""How long a reservation that expired may still be settled as one; after that what was used is charged all the same."""
_hold: Final[Callable[[tuple[str, StoredKind, int, int, int]], Hold]] = partial(tuple.__new__, Hold)
"""`Hold(*values)`, in half the time."""

State = Literal["live", "expired", "done"]


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """What a call needs. `id` is new for each call; asking twice with the same one reserves once."""

    id: str
    charges: tuple[Charge, ...]
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The reservation stands. `rows`: one for each charge, this one included."""

    id: str
    charges: tuple[Charge, ...]
    rows: tuple[Row, ...]
    now_ms: int

    @property
    def usage(self) -> tuple[LimitUsage, ...]:
        """Where each counter stands."""
        return _usages(self.charges, self.rows, self.now_ms)


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was charged. `counter` is the one that is full for longest."""

    counter: Counter
    amount: int
    available_ms: int | None
    """When there will be room, in milliseconds since 1970; None: when calls under way end."""
    used: int
    """Of a budget: what is spent, without what is only reserved."""
    charges: tuple[Charge, ...]
    rows: tuple[Row, ...]
    now_ms: int

    @property
    def usage(self) -> tuple[LimitUsage, ...]:
        """Where each counter stands."""
        return _usages(self.charges, self.rows, self.now_ms)


Verdict = Admitted | Denied


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a reservation. `due_ms`: when it expires or, if it is no longer live, may be forgotten."""

    state: State
    due_ms: int
    holds: tuple[Hold, ...]


class Table(Protocol):
    """A store's rows and reservations, for the length of one operation."""

    def row(self, key: str) -> Row: ...
    def put(self, key: str, row: Row) -> None: ...
    def reservation(self, id: str, /) -> Reservation | None: ...
    def keep(self, id: str, reservation: Reservation | None, /) -> None:
        """None: forget it."""

    def due(self, now_ms: int) -> Iterable[tuple[str, Reservation]]:
        """Some of the reservations whose time is up."""
        ...


def reserve(table: Table, request: ReserveRequest, now_ms: int) -> Verdict:
    """Charge all counters, or none."""
    expire(table, now_ms)
    charges = request.charges
    rows = tuple([counter.advanced(table.row(counter.key), now_ms) for counter, _ in charges])
    known = table.reservation(request.id)
    if known is not None and known.state == "live":
        return Admitted(request.id, charges, rows, now_ms)
    if denied := denial(charges, rows, now_ms):
        for (counter, _), row in zip(charges, rows, strict=True):
            if row.at_ms < table.row(counter.key).at_ms:  # moved to the present: from now on it drains
                table.put(counter.key, row)
        return denied
    pairs = list(zip(charges, rows, strict=True))
    taken = tuple([counter.reserved(row, amount) for (counter, amount), row in pairs])
    for (counter, _), row in zip(charges, taken, strict=True):
        table.put(counter.key, row)
    holds = tuple([_hold((c.key, STORED[c.kind], amount, row.at_ms, c.period_ms)) for (c, amount), row in pairs])
    table.keep(request.id, Reservation("live", now_ms + request.lease_ms, holds))
    return Admitted(request.id, charges, taken, now_ms)


def denial(charges: tuple[Charge, ...], rows: tuple[Row, ...], now_ms: int) -> Denied | None:
    """Which of these advanced rows has no room; of several the one that has none for longest."""
    denied: Denied | None = None
    for (counter, amount), row in zip(charges, rows, strict=True):
        if not counter.fits(row, amount):
            free = counter.available_ms(row, amount, now_ms)
            if denied is None or (free or 0) > (denied.available_ms or 0):
                denied = Denied(counter, amount, free, row.used, charges, rows, now_ms)
    return denied


def _usages(charges: Sequence[Charge], rows: Sequence[Row], now_ms: int) -> tuple[LimitUsage, ...]:
    return tuple(counter.usage(row, now_ms) for (counter, _), row in zip(charges, rows, strict=True))


def settle(table: Table, id: str, used: Iterable[Charge], now_ms: int) -> bool:
    """Charge what was used instead of what was reserved. False: it was settled already."""
    known = table.reservation(id)
    if known is not None and known.state == "done":
        return False
    holds = {hold.key: hold for hold in known.holds} if known else {}
    live = known is not None and known.state == "live"
    for counter, amount in used:
        row = table.row(counter.key)
        hold = holds.pop(counter.key, None)
        settled = counter.spent(counter.advanced(row, now_ms), amount) if hold is None else None
        if hold is not None and (live or counter.kind != "concurrency"):
            settled = _settled(counter, row, amount, hold, live, now_ms)
        if settled is not None:
            table.put(counter.key, settled)
    for hold in holds.values():
        if live or hold.kind == "bucket":
            table.put(hold.key, released(hold, table.row(hold.key)))
    table.keep(id, Reservation("done", now_ms + SETTLED_KEPT_MS, ()))
    return True


def _settled(counter: Counter, row: Row, amount: int, hold: Hold, live: bool, now_ms: int) -> Row | None:
    """The row with what was used for what was reserved; None where nothing changes.

    Of a bucket only the difference counts: what was taken at the beginning has been draining since.
    """
    match counter.kind:
        case "bucket":
            more = amount - hold.amount
            if more > 0:
                return counter.spent(counter.advanced(row, now_ms), more)
            return released(Hold(hold.key, "bucket", -more, hold.at_ms, hold.period_ms), row) if more else None
        case "budget":
            row = released(hold, row) if live else row
            if hold.at_ms - now_ms > SET_BACK_MS:  # in a window that has not begun: the clock was set back since
                return counter.spent(counter.advanced(row, now_ms), amount)
            in_window = counter.in_window(row, hold.at_ms)
            return None if in_window is None else counter.spent(in_window, amount)
        case "concurrency":
            return released(hold, row)


def release(table: Table, id: str, now_ms: int) -> bool:
    """Nothing was used: give everything back. False: it was settled already."""
    return settle(table, id, (), now_ms)


def extend(table: Table, ids: Iterable[str], lease_ms: int, now_ms: int) -> None:
    """The calls still run. What has expired meanwhile stays expired."""
    for name in ids:
        known = table.reservation(name)
        if known is not None and known.state == "live":
            table.keep(name, Reservation("live", now_ms + lease_ms, known.holds))


def peek(table: Table, counters: Iterable[Counter], now_ms: int) -> tuple[LimitUsage, ...]:
    """Where these counters stand."""
    expire(table, now_ms)
    return tuple(c.usage(c.advanced(table.row(c.key), now_ms), now_ms) for c in counters)


def expire(table: Table, now_ms: int) -> None:
    """Let go of reservations whose time is up."""
    for name, known in table.due(now_ms):
        if known.state != "live":
            table.keep(name, None)
            continue
        for hold in known.holds:
            if hold.kind != "bucket":
                table.put(hold.key, released(hold, table.row(hold.key)))
        table.keep(name, Reservation("expired", now_ms + EXPIRED_KEPT_MS, known.holds))
