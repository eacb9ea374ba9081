"""Counters: a rate (leaky bucket), the budget of a calendar window, concurrency. Integers, so that all stores agree.

A counter's state is one row; a row of zeros is an unused counter.

    kind          at_ms                     used                     held
    bucket        when `used` was computed  contents × period_ms     -
    budget        start of the window       spent                    reserved by running calls
    concurrency   -                         -                        running calls

A bucket drains by `rate` in `period_ms`. Its contents are stored multiplied by the period, so that the amount that drains
in a millisecond is an integer. Time is an argument and never runs backwards for a row: a clock that is slightly behind the
row changes nothing. A row far in the future was written before the clock was set back. It is moved to the present with its
usage; otherwise a bucket would not drain, and a budget would not reset, before that future time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
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
"""Two clocks do not differ by more than this: a row further ahead means that the clock was set back."""
_NEVER_MS: Final = 1 << 52


class Row(NamedTuple):
    """A counter's state. From `until_ms` on it equals an unused one and may be deleted."""

    at_ms: int = 0
    used: int = 0
    held: int = 0
    until_ms: int = 0


EMPTY: Final = Row()
_row: Final[Callable[[tuple[int, int, int, int]], Row]] = partial(tuple.__new__, Row)
"""`Row(*values)` in half the time: a call creates twenty rows."""


class LimitUsage(NamedTuple):
    """How much of a counter is used, in its unit. `resets_ms`: when all of it is available again without further calls."""

    counter: Counter
    used: int
    remaining: int
    resets_ms: int


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit of one owner."""

    key: str
    """Its name in stores."""
    name: str
    """Its path in the configuration, shown to users."""
    owner: str
    kind: Kind
    unit: Unit
    limit: int
    """The size of a bucket, a budget, or a number of calls; in the unit."""
    rate: int = 0
    """Buckets only: the amount that drains in `period_ms`, in the unit."""
    period_ms: int = MINUTE_MS
    window: Window | None = None
    zone: tzinfo = UTC
    """Budgets only: where its days begin."""

    def current(self, row: Row, now_ms: int) -> Row:
        """The row at this time: a bucket has drained, a window that is over is replaced by the current one."""
        at_ms, used, held, until_ms = row
        if self.kind == "bucket":
            passed = now_ms - at_ms
            if passed <= 0:
                return row if passed >= -SET_BACK_MS else _row((now_ms, used, held, now_ms - -used // self.rate))
            left = used - self.rate * passed
            return _row((now_ms, left if left > 0 else 0, held, until_ms))
        if self.window and now_ms >= until_ms:  # the end of its window
            start = start_ms(self.window, now_ms, self.zone)
            if start > at_ms:
                return Row(start, 0, 0, end_ms(self.window, start, self.zone))
        elif self.window and at_ms - now_ms > SET_BACK_MS:
            start = start_ms(self.window, now_ms, self.zone)
            return Row(start, used, 0, end_ms(self.window, start, self.zone))
        return row

    def fits(self, row: Row, amount: int) -> bool:
        """Whether a current row has room. An amount larger than the bucket needs an empty one, and overfills it."""
        match self.kind:
            case "bucket":
                room = self.limit - amount
                return row.used <= (room if room > 0 else 0) * self.period_ms
            case "budget":
                return row.used + row.held + amount <= self.limit
            case "concurrency":
                return row.held + amount <= self.limit

    def reserved(self, row: Row, amount: int) -> Row:
        """A current row with a reservation added."""
        at_ms, used, held, until_ms = row
        if self.kind == "bucket":
            return self._filled(row, amount)
        return _row((at_ms, used, held + amount, until_ms if self.window else _NEVER_MS))

    def spent(self, row: Row, amount: int) -> Row:
        """A current row with this amount spent. Concurrency is not spent."""
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
        """A budget's row for the window that began at `start`; None if that window is over."""
        assert self.window is not None
        if row.at_ms < start:
            return Row(start, 0, 0, end_ms(self.window, start, self.zone))
        return row if row.at_ms == start else None

    def available_ms(self, row: Row, amount: int, now_ms: int) -> int | None:
        """When a current row that is full has room through the passing of time; None if other calls must end first."""
        match self.kind:
            case "bucket":
                over = row.used + (min(amount, self.limit) - self.limit) * self.period_ms
                return now_ms + max(0, _ceil(over, self.rate))
            case "budget":
                assert self.window is not None
                return None if row.used + amount <= self.limit else end_ms(self.window, row.at_ms, self.zone)
            case "concurrency":
                return None

    def usage(self, row: Row, now_ms: int) -> LimitUsage:
        """The usage of a current row; reservations count as used."""
        match self.kind:
            case "bucket":
                used, resets = _ceil(row.used, self.period_ms), now_ms + _ceil(row.used, self.rate)
            case "budget":
                assert self.window is not None
                used, resets = row.used + row.held, end_ms(self.window, row.at_ms, self.zone)
            case "concurrency":
                used, resets = row.held, now_ms
        return LimitUsage(self, used, max(0, self.limit - used), resets)


class Charge(NamedTuple):
    """An amount on a counter."""

    counter: Counter
    amount: int


class Hold(NamedTuple):
    """The part of a reservation on one counter, in the form that stores keep."""

    key: str
    kind: StoredKind
    amount: int
    at_ms: int
    """Budgets only: the start of the window in which it was made."""
    period_ms: int


def released(hold: Hold, row: Row) -> Row:
    """The row without a reservation. A reservation of a window that is over is already gone."""
    at_ms, used, held, until_ms = row
    match hold.kind:
        case "bucket":  # draining and releasing come in any order: neither goes below zero
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
