"""Counters: rates, budgets of windows, concurrency."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.limits.counters import (
    EMPTY,
    SET_BACK_MS,
    Counter,
    Row,
)
from sluicegate.core.limits.windows import DAY_MS

DAY = 20_000 * DAY_MS
RPM = Counter("k:rpm", "limits.default.rpm", "this key", "bucket", "requests", 5, 60)
BUDGET = Counter("k:usd", "limits.default.budget_usd.day", "this key", "budget", "nano_usd", 100, window="day")
CONCURRENCY = Counter("k:c", "limits.default.concurrency", "this key", "concurrency", "concurrency", 2)


def test_a_bucket_drains_evenly() -> None:
    """Five at once, then one a second; `available_ms` is the first moment at which the next one fits."""
    row = RPM.current(EMPTY, DAY)
    for _ in range(5):
        assert RPM.fits(row, 1)
        row = RPM.reserved(row, 1)
    assert not RPM.fits(row, 1)
    free = RPM.available_ms(row, 1, DAY)
    assert free == DAY + 1000
    assert not RPM.fits(RPM.current(row, free - 1), 1)
    assert RPM.fits(RPM.current(row, free), 1)
    assert RPM.usage(row, DAY)[1:] == (5, 0, DAY + 5000)


def test_more_than_a_whole_bucket_leaves_a_debt() -> None:
    """A call larger than the bucket is admitted when the bucket is empty, and later ones wait until it has drained."""
    row = RPM.current(EMPTY, DAY)
    assert RPM.fits(row, 50)
    row = RPM.reserved(row, 50)
    assert RPM.available_ms(row, 1, DAY) == DAY + 46_000
    assert not RPM.fits(RPM.reserved(RPM.current(EMPTY, DAY), 1), 50)


def test_a_budget_resets_in_the_next_window() -> None:
    """Usage and reservations of the previous window do not count."""
    row = BUDGET.reserved(BUDGET.spent(BUDGET.current(EMPTY, DAY), 60), 40)
    assert not BUDGET.fits(row, 1)
    assert BUDGET.available_ms(row, 30, DAY) is None  # other calls hold it
    assert BUDGET.available_ms(row, 41, DAY) == DAY + DAY_MS
    assert BUDGET.current(row, DAY + DAY_MS - 1) == row
    assert BUDGET.current(row, DAY + DAY_MS) == Row(DAY + DAY_MS, 0, 0, DAY + 2 * DAY_MS)


def test_concurrency() -> None:
    """Two concurrent calls; time alone releases none."""
    row = CONCURRENCY.reserved(CONCURRENCY.reserved(EMPTY, 1), 1)
    assert not CONCURRENCY.fits(row, 1)
    assert CONCURRENCY.available_ms(row, 1, DAY) is None
    assert CONCURRENCY.usage(row, DAY)[1:3] == (2, 0)


@given(
    counter=st.sampled_from([RPM, BUDGET, CONCURRENCY]),
    used=st.integers(0, 10**9),
    at=st.integers(0, 10**12),
    back=st.integers(1, SET_BACK_MS),
)
def test_time_never_runs_backwards(counter: Counter, used: int, at: int, back: int) -> None:
    """A clock that is slightly behind changes nothing."""
    row = counter.current(Row(0, used, 0, 0), at)
    assert counter.current(row, at - back) == row


@given(used=st.integers(0, 10**9), back=st.integers(SET_BACK_MS + 1, 10**12))
def test_a_clock_that_was_set_back(used: int, back: int) -> None:
    """Usage far in the future is moved to now: a bucket drains, a budget ends with the present window."""
    far = DAY + 10**12
    bucket = RPM.current(Row(far, used, 0, far + 1), far - back)
    assert (bucket.at_ms, bucket.used) == (far - back, used)
    assert RPM.current(bucket, bucket.until_ms).used == 0
    budget = BUDGET.current(BUDGET.current(EMPTY, far)._replace(used=used, held=5), far - back)
    assert budget.used in (used, 0)
    assert budget.at_ms <= far - back < budget.until_ms or budget.at_ms - (far - back) <= SET_BACK_MS


@given(
    rate=st.integers(1, 10**6),
    size=st.integers(1, 10**6),
    gaps=st.lists(st.tuples(st.integers(0, 10**5), st.integers(1, 50))),
)
def test_a_bucket_lets_through_no_more_than_its_size_and_what_drained(
    rate: int, size: int, gaps: list[tuple[int, int]]
) -> None:
    """However calls come, over any stretch of time: at most the size, plus rate × time."""
    counter = Counter("k", "n", "w", "bucket", "requests", size, rate)
    now, row, admitted = DAY, EMPTY, 0
    for gap, amount in gaps:
        now += gap
        row = counter.current(row, now)
        if amount <= size and counter.fits(row, amount):
            row = counter.reserved(row, amount)
            admitted += amount
        assert admitted * 60_000 <= size * 60_000 + rate * (now - DAY)
