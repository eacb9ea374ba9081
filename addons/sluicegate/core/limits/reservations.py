"""Reservations: reserve, free, settle once, release, extend, expire. Each changes all counters of a call, or none.

The functions work on a `Table`. A store provides it and makes each operation atomic; Redis runs the same rules in Lua.

    reserve   every counter must have room, else nothing is reserved
    settle    replace the reserved amounts with the used ones; only the first settlement of a reservation has an effect
    free      give back concurrency before the client can see that its answer has ended; the rest is settled later
    release   settle with no usage
    expire    the process that reserved is gone: concurrency and budgets are released, rates drain by themselves

A budget is charged in the window in which the call was admitted. An expired reservation can still be settled, once.
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
    "free_slots",
    "peek",
    "release",
    "reserve",
    "settle",
]

SETTLED_KEPT_MS: Final = 60_000
"""How long a settled reservation is kept, so that it is not settled again."""
EXPIRED_KEPT_MS: Final = 3_600_000
"""How long an expired reservation is kept for a late settlement. A later one charges the usage without it."""
_hold: Final[Callable[[tuple[str, StoredKind, int, int, int]], Hold]] = partial(tuple.__new__, Hold)
"""`Hold(*values)` in half the time."""

State = Literal["live", "expired", "done"]


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """The amounts to reserve for a call. Two requests with the same `id` reserve once."""

    id: str
    charges: tuple[Charge, ...]
    lease_ms: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The amounts are reserved. `rows`: one for each charge, including this reservation."""

    id: str
    charges: tuple[Charge, ...]
    rows: tuple[Row, ...]
    now_ms: int

    @property
    def usage(self) -> tuple[LimitUsage, ...]:
        """The usage of each counter."""
        return _usages(self.charges, self.rows, self.now_ms)


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was reserved. `counter` is the one that stays full the longest."""

    counter: Counter
    amount: int
    available_ms: int | None
    """When there is room, in milliseconds since 1970; None: when running calls end."""
    used: int
    """Budgets: the amount spent, without reservations."""
    charges: tuple[Charge, ...]
    rows: tuple[Row, ...]
    now_ms: int

    @property
    def usage(self) -> tuple[LimitUsage, ...]:
        """The usage of each counter."""
        return _usages(self.charges, self.rows, self.now_ms)


Verdict = Admitted | Denied


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reservation as stores keep it. `due_ms`: when it expires or, if it is no longer live, is deleted."""

    state: State
    due_ms: int
    holds: tuple[Hold, ...]


class Table(Protocol):
    """A store's rows and reservations during one operation."""

    def row(self, key: str) -> Row: ...
    def put(self, key: str, row: Row) -> None: ...
    def reservation(self, id: str, /) -> Reservation | None: ...
    def keep(self, id: str, reservation: Reservation | None, /) -> None:
        """None: delete it."""

    def due(self, now_ms: int) -> Iterable[tuple[str, Reservation]]:
        """Reservations that are due; some of them, if there are many."""
        ...


def reserve(table: Table, request: ReserveRequest, now_ms: int) -> Verdict:
    """Reserve in all counters, or in none."""
    expire(table, now_ms)
    charges = request.charges
    rows = tuple([counter.current(table.row(counter.key), now_ms) for counter, _ in charges])
    known = table.reservation(request.id)
    if known is not None and known.state == "live":
        return Admitted(request.id, charges, rows, now_ms)
    if denied := denial(charges, rows, now_ms):
        for (counter, _), row in zip(charges, rows, strict=True):
            if row.at_ms < table.row(counter.key).at_ms:  # moved to the present, so that it drains from now on
                table.put(counter.key, row)
        return denied
    pairs = list(zip(charges, rows, strict=True))
    reserved = tuple([counter.reserved(row, amount) for (counter, amount), row in pairs])
    for (counter, _), row in zip(charges, reserved, strict=True):
        table.put(counter.key, row)
    holds = tuple([_hold((c.key, STORED[c.kind], amount, row.at_ms, c.period_ms)) for (c, amount), row in pairs])
    table.keep(request.id, Reservation("live", now_ms + request.lease_ms, holds))
    return Admitted(request.id, charges, reserved, now_ms)


def denial(charges: tuple[Charge, ...], rows: tuple[Row, ...], now_ms: int) -> Denied | None:
    """The refusal for these current rows, naming the counter that stays full the longest; None if all have room."""
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
    """Replace the reserved amounts with the used ones. False: already settled."""
    known = table.reservation(id)
    if known is not None and known.state == "done":
        return False
    holds = {hold.key: hold for hold in known.holds} if known else {}
    live = known is not None and known.state == "live"
    for counter, amount in used:
        row = table.row(counter.key)
        hold = holds.pop(counter.key, None)
        settled = counter.spent(counter.current(row, now_ms), amount) if hold is None else None
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
    """The row with the used amount in place of the reserved one; None if it does not change.

    A bucket is charged the difference only: the reserved amount has been draining since the call began.
    """
    match counter.kind:
        case "bucket":
            more = amount - hold.amount
            if more > 0:
                return counter.spent(counter.current(row, now_ms), more)
            return released(Hold(hold.key, "bucket", -more, hold.at_ms, hold.period_ms), row) if more else None
        case "budget":
            row = released(hold, row) if live else row
            if hold.at_ms - now_ms > SET_BACK_MS:  # its window has not begun: the clock was set back
                return counter.spent(counter.current(row, now_ms), amount)
            in_window = counter.in_window(row, hold.at_ms)
            return None if in_window is None else counter.spent(in_window, amount)
        case "concurrency":
            return released(hold, row)


def free_slots(table: Table, id: str) -> None:
    """Give back the concurrency that a reservation holds; its other amounts stay reserved."""
    known = table.reservation(id)
    if known is None or known.state != "live":
        return
    for hold in known.holds:
        if hold.kind == "seats":
            table.put(hold.key, released(hold, table.row(hold.key)))
    table.keep(id, Reservation("live", known.due_ms, tuple([h for h in known.holds if h.kind != "seats"])))


def release(table: Table, id: str, now_ms: int) -> bool:
    """Settle without usage. False: already settled."""
    return settle(table, id, (), now_ms)


def extend(table: Table, ids: Iterable[str], lease_ms: int, now_ms: int) -> None:
    """Renew the leases of running calls. Expired reservations stay expired."""
    for name in ids:
        known = table.reservation(name)
        if known is not None and known.state == "live":
            table.keep(name, Reservation("live", now_ms + lease_ms, known.holds))


def peek(table: Table, counters: Iterable[Counter], now_ms: int) -> tuple[LimitUsage, ...]:
    """The usage of these counters."""
    expire(table, now_ms)
    return tuple(c.usage(c.current(table.row(c.key), now_ms), now_ms) for c in counters)


def expire(table: Table, now_ms: int) -> None:
    """Expire reservations that are due, and delete those that were kept only to be remembered."""
    for name, known in table.due(now_ms):
        if known.state != "live":
            table.keep(name, None)
            continue
        for hold in known.holds:
            if hold.kind != "bucket":
                table.put(hold.key, released(hold, table.row(hold.key)))
        table.keep(name, Reservation("expired", now_ms + EXPIRED_KEPT_MS, known.holds))
