"""The windows of budgets: hours, days, weeks (from Monday) and months, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Literal

__all__ = ["DAY_MS", "Window", "end_ms", "start_ms", "starts_around"]

Window = Literal["hour", "day", "week", "month"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_WEEK_MS: Final = 7 * DAY_MS
_MONDAY_MS: Final = 4 * DAY_MS
"""1970-01-01 was a Thursday; the first Monday was four days later."""


def start_ms(window: Window, now_ms: int) -> int:
    """The start of the window at this time; both in milliseconds since 1970, UTC."""
    match window:
        case "hour":
            return now_ms - now_ms % HOUR_MS
        case "day":
            return now_ms - now_ms % DAY_MS
        case "week":
            return now_ms - (now_ms - _MONDAY_MS) % _WEEK_MS
        case "month":
            return _month_ms(_date(now_ms), 0)


def end_ms(window: Window, start: int) -> int:
    """The end of the window that began at `start`; the next one starts there."""
    match window:
        case "hour":
            return start + HOUR_MS
        case "day":
            return start + DAY_MS
        case "week":
            return start + _WEEK_MS
        case "month":
            return _month_ms(_date(start), 1)


def starts_around(window: Window, now_ms: int) -> tuple[int, int, int, int]:
    """The starts of the previous window, this one and the next two, for a store whose clock differs slightly."""
    this = start_ms(window, now_ms)
    following = end_ms(window, this)
    return start_ms(window, this - 1), this, following, end_ms(window, following)


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _month_ms(date: datetime, later: int) -> int:
    months = date.year * 12 + date.month - 1 + later
    return int(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
