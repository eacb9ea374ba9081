"""Windows: hours of UTC; days, weeks and months of a time zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.limits.windows import (
    Window,
    end_ms,
    start_ms,
    starts_around,
)

WINDOWS: tuple[Window, ...] = ("hour", "day", "week", "month")
TIMES = st.integers(0, 7_258_118_400_000)  # up to the year 2200


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        ("hour", "2026-11-21T07:59:59", "2026-11-21T07:00:00", "2026-11-21T08:00:00"),
        ("day", "2026-11-21T23:59:59", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
        ("week", "2026-11-22T12:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        ("month", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_windows_are_those_of_the_calendar(window: Window, now: str, start: str, end: str) -> None:
    """Weeks begin on Monday; months have their own lengths."""
    assert start_ms(window, ms(now)) == ms(start)
    assert end_ms(window, ms(start)) == ms(end)


@pytest.mark.parametrize(
    ("zone", "window", "now", "start", "end"),
    [
        ("Europe/Berlin", "day", "2026-11-21T22:59:59", "2026-11-20T23:00:00", "2026-11-21T23:00:00"),
        ("Europe/Berlin", "day", "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),  # 25 hours
        ("America/New_York", "month", "2026-11-01T03:00:00", "2026-10-01T04:00:00", "2026-11-01T04:00:00"),
        ("Asia/Kolkata", "week", "2026-11-22T18:30:00", "2026-11-22T18:30:00", "2026-11-29T18:30:00"),
        ("Asia/Kolkata", "hour", "2026-11-22T18:40:00", "2026-11-22T18:00:00", "2026-11-22T19:00:00"),
        ("America/Santiago", "day", "2026-09-06T12:00:00", "2026-09-06T04:00:00", "2026-09-07T03:00:00"),  # no midnight
    ],
)
def test_windows_of_a_time_zone(zone: str, window: Window, now: str, start: str, end: str) -> None:
    """Days begin at its midnight, also where a day has 23 or 25 hours."""
    place = ZoneInfo(zone)
    assert start_ms(window, ms(now), place) == ms(start)
    assert end_ms(window, ms(start), place) == ms(end)
    assert starts_around(window, ms(now), place)[1:3] == (ms(start), ms(end))


@given(window=st.sampled_from(WINDOWS), now=TIMES)
def test_every_moment_lies_in_one_window(window: Window, now: int) -> None:
    """Windows follow each other without gap or overlap."""
    start = start_ms(window, now)
    assert start <= now < end_ms(window, start)
    assert start_ms(window, start) == start
    assert start_ms(window, end_ms(window, start)) == end_ms(window, start)
    before, this, following, after = starts_around(window, now)
    assert this == start
    assert end_ms(window, before) == this
    assert end_ms(window, this) == following
    assert end_ms(window, following) == after
