"""The windows of budgets: hours (of UTC), and days, weeks (from Monday) and months of a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal

__all__ = ["DAY_MS", "Window", "end_ms", "start_ms", "starts_around"]

Window = Literal["hour", "day", "week", "month"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_WEEK_MS: Final = 7 * DAY_MS
_MONDAY_MS: Final = 4 * DAY_MS
"""1970-01-01 was a Thursday; the first Monday was four days later."""


def start_ms(window: Window, now_ms: int, zone: tzinfo = UTC) -> int:
    """The start of the window at this time; both in milliseconds since 1970, UTC."""
    if window == "hour":
        return now_ms - now_ms % HOUR_MS
    if zone is UTC and window != "month":
        return now_ms - (now_ms % DAY_MS if window == "day" else (now_ms - _MONDAY_MS) % _WEEK_MS)
    return _midnight_ms(_first_day(window, _date(now_ms, zone)), zone)


def end_ms(window: Window, start: int, zone: tzinfo = UTC) -> int:
    """The end of the window that began at `start`; the next one starts there."""
    if window == "hour":
        return start + HOUR_MS
    if zone is UTC and window != "month":
        return start + (DAY_MS if window == "day" else _WEEK_MS)
    first = _date(start, zone)
    match window:
        case "day":
            return _midnight_ms(first + timedelta(days=1), zone)
        case "week":
            return _midnight_ms(first + timedelta(days=7), zone)
        case "month":
            return _midnight_ms((first.replace(day=1) + timedelta(days=31)).replace(day=1), zone)


def starts_around(window: Window, now_ms: int, zone: tzinfo = UTC) -> tuple[int, int, int, int]:
    """The starts of the previous window, this one and the next two, for a store whose clock differs slightly."""
    this = start_ms(window, now_ms, zone)
    following = end_ms(window, this, zone)
    return start_ms(window, this - 1, zone), this, following, end_ms(window, following, zone)


def _first_day(window: Literal["day", "week", "month"], day: date) -> date:
    match window:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)


def _date(ms: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(ms // 1000, zone).date()


def _midnight_ms(day: date, zone: tzinfo) -> int:
    """The day's first moment. Where the clock is put forward at midnight, that is the moment when this happens."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000
