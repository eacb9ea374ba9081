"""Counters: a bucket that drains, the budget of a calendar window, seats. Whole numbers, so that every store counts alike.

A counter's state is one row; a row of zeros is a counter that nobody has used.

    kind     at_ms                  used                         held
    bucket   when `used` was true   what is in it × period_ms    -
    budget   start of its window    spent                        reserved by calls under way
    seats    -                      -                            calls under way

A bucket drains by `rate` in `period_ms`. Its contents are kept multiplied by the period, so that what drains in a
millisecond is a whole number. Time is an argument and never runs backwards for a row: a clock a little behind it changes
nothing. A row that is far ahead was written by a clock that has been set since: it is moved to the present, with what was
used, else a bucket would not drain, and a budget not begin anew, until that future has come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple

from sluicegate.core.limits.windows import Window, end_ms, start_ms

__all__ = ["EMPTY", "STORED", "Charge", "Counter", "Kind", "LimitUsage", "Row", "StoredKind", "Unit"]

Kind = Literal["bucket", "budget", "concurrency"]
StoredKind = Literal["bucket", "budget", "seats"]
Unit = Literal["requests", "input_tokens", "output_tokens", "tokens", "nano_usd", "concurrency"]

STORED: Final[dict[Kind, StoredKind]] = {"bucket": "bucket", "budget": "budget", "concurrency": "seats"}
"""A kind as stores write it: a reservation outlives the version that made it, so the name on disk does not change."""
MINUTE_MS: Final = 60_000
SET_BACK_MS: Final = 60_000
"""What is further ahead than this is no matter of two clocks that differ: the clock was set back."""
_NEVER_MS: Final = 1 << 52


class Row(NamedTuple):
    """A counter's state. `until_ms`: from then on it says nothing any more and may be forgotten."""

    at_ms: int = 0
    used: int = 0
    held: int = 0
    until_ms: int = 0


EMPTY: Final = Row()
_row: Final[Callable[[tuple[int, int, int, int]], Row]] = partial(tuple.__new__, Row)
"""`Row(*values)`, in half the time: a call makes twenty."""


class LimitUsage(NamedTuple):
    """Where a counter stands, in its unit. `resets_ms`: when it is whole again, if nothing more comes."""

    counter: Counter
    used: int
    remaining: int
    resets_ms: int


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit of somebody: what is counted, and up to where."""

    key: str
    """Under which stores keep it."""
    name: str
    """Its key in the configuration, for people."""
    owner: str
    kind: Kind
    unit: Unit
    limit: int
    """A bucket's size, a budget, a number of seats; in the unit."""
    rate: int = 0
    """A bucket: what drains in `period_ms`, in the unit."""
    period_ms: int = MINUTE_MS
    window: Window | None = None

    def advanced(self, row: Row, now_ms: int) -> Row:
        """The row as it stands now: the bucket has drained, a window that is over has made room for the next."""
        at_ms, used, held, until_ms = row
        if self.kind == "bucket":
            passed = now_ms - at_ms
            if passed <= 0:
                return row if passed >= -SET_BACK_MS else _row((now_ms, used, held, now_ms - -used // self.rate))
            left = used - self.rate * passed
            return _row((now_ms, left if left > 0 else 0, held, until_ms))
        if self.window and now_ms >= until_ms:  # where its window ends
            start = start_ms(self.window, now_ms)
            if start > at_ms:
                return Row(start, 0, 0, end_ms(self.window, start))
        elif self.window and at_ms - now_ms > SET_BACK_MS:
            start = start_ms(self.window, now_ms)
            return Row(start, used, 0, end_ms(self.window, start))
        return row

    def fits(self, row: Row, amount: int) -> bool:
        """Whether an advanced row has room. What is larger than a whole bucket needs an empty one, and leaves a debt."""
        match self.kind:
            case "bucket":
                room = self.limit - amount
                return row.used <= (room if room > 0 else 0) * self.period_ms
            case "budget":
                return row.used + row.held + amount <= self.limit
            case "concurrency":
                return row.held + amount <= self.limit

    def reserved(self, row: Row, amount: int) -> Row:
        """An advanced row with a reservation on it."""
        at_ms, used, held, until_ms = row
        if self.kind == "bucket":
            return self._filled(row, amount)
        return _row((at_ms, used, held + amount, until_ms if self.window else _NEVER_MS))

    def spent(self, row: Row, amount: int) -> Row:
        """An advanced row with so much spent. Seats are not spent."""
        match self.kind:
            case "bucket":
                return self._filled(row, amount)
            case "budget":
                return _row((row.at_ms, row.used + amount, row.held, row.until_ms))
            case "concurrency":
                return row

    def _filled(self, row: Row, amount: int) -> Row:
        at_ms, used, held, _ = row
        used += amount * self.period_ms
        return _row((at_ms, used, held, at_ms - -used // self.rate))

    def in_window(self, row: Row, start: int) -> Row | None:
        """The row of a budget for the window that began at `start`; None where that one is over."""
        assert self.window is not None
        if row.at_ms < start:
            return Row(start, 0, 0, end_ms(self.window, start))
        return row if row.at_ms == start else None

    def available_ms(self, row: Row, amount: int, now_ms: int) -> int | None:
        """When an advanced row that has no room will have it by time alone; None where other calls have to end first."""
        match self.kind:
            case "bucket":
                over = row.used + (min(amount, self.limit) - self.limit) * self.period_ms
                return now_ms + max(0, _ceil(over, self.rate))
            case "budget":
                assert self.window is not None
                return None if row.used + amount <= self.limit else end_ms(self.window, row.at_ms)
            case "concurrency":
                return None

    def usage(self, row: Row, now_ms: int) -> LimitUsage:
        """Where an advanced row stands; reservations count as used."""
        match self.kind:
            case "bucket":
                used, resets = _ceil(row.used, self.period_ms), now_ms + _ceil(row.used, self.rate)
            case "budget":
                assert self.window is not None
                used, resets = row.used + row.held, end_ms(self.window, row.at_ms)
            case "concurrency":
                used, resets = row.held, now_ms
        return LimitUsage(self, used, max(0, self.limit - used), resets)


class Charge(NamedTuple):
    """So much on that counter."""

    counter: Counter
    amount: int


class Hold(NamedTuple):
    """What a reservation holds of a counter, as stores keep it."""

    key: str
    kind: StoredKind
    amount: int
    at_ms: int
    """A budget: the start of the window that it belongs to."""
    period_ms: int


def released(hold: Hold, row: Row) -> Row:
    """The row without a reservation. What belonged to a window that is over is gone with it."""
    at_ms, used, held, until_ms = row
    match hold.kind:
        case "bucket":  # to drain and to give back may come in any order: neither goes below nothing
            used -= hold.amount * hold.period_ms
            return _row((at_ms, used if used > 0 else 0, held, until_ms))
        case "budget":
            held -= hold.amount
            return _row((at_ms, used, held if held > 0 else 0, until_ms)) if at_ms == hold.at_ms else row
        case "seats":
            held -= hold.amount
            return _row((at_ms, used, held, until_ms)) if held > 0 else _row((at_ms, used, 0, 0))


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
