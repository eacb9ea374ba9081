"""Refusals: what a caller receives, and when to retry."""

import pytest

from sluicegate.core.limits.counters import EMPTY, Charge, Counter
from sluicegate.core.limits.refusals import budget_warning, rate_headers, refusal
from sluicegate.core.limits.reservations import Admitted, Denied

NOW = 1_795_246_200_000  # 2026-11-21T07:30:00Z
RPM = Counter("team:a:rpm", "limits.teams.a.rpm", "the team a", "bucket", "requests", 5, 5)
CONCURRENCY = Counter("key:k:concurrency", "limits.default.concurrency", "this key", "concurrency", "concurrency", 50)
USD = Counter(
    "team:b:usd:day", "limits.teams.b.budget_usd.day", "the team b", "budget", "nano_usd", 5 * 10**7, window="day"
)
TOKENS = Counter("k:tokens:hour", "limits.default.budget_tokens.hour", "this key", "budget", "tokens", 9000, window="hour")
SAME = Counter("same:x", "limits.runaway.same_request", "this request", "bucket", "requests", 20, 20, 600_000)
SESSION = Counter("session:x", "limits.runaway.session_usd", "this session", "bucket", "nano_usd", 10**10, 10**10, 300_000)


def denied(counter: Counter, free_s: float | None, amount: int = 1, used: int = 0) -> Denied:
    free = None if free_s is None else NOW + int(free_s * 1000)
    return Denied(counter, amount, free, used, (), (), NOW)


def said(*rows: tuple[Counter, int]) -> Admitted:
    """A verdict with this usage of these counters."""
    charges = tuple(Charge(counter, 0) for counter, _ in rows)
    states = tuple(counter.spent(counter.current(EMPTY, NOW), used) for counter, used in rows)
    return Admitted("a", charges, states, NOW)


@pytest.mark.parametrize(
    ("refusing", "status", "after", "retry", "message"),
    [
        (
            denied(RPM, 11.2), 429, 12, True,
            "the team a has reached its limit of 5 requests per minute (limits.teams.a.rpm); "
            "capacity is available again at 2026-11-21T07:30:12Z, in 12 s",
        ),
        (denied(RPM, 75), 429, 59, True, "in 1 min 15 s"),
        (denied(RPM, 900), 429, None, False, "in 15 min"),
        (
            denied(CONCURRENCY, None), 429, 2, True,
            "this key has reached its limit of 50 concurrent calls (limits.default.concurrency); "
            "retry shortly: capacity is released when running calls end",
        ),
        (
            denied(USD, 59_400, 5_100_000, 49_300_000), 402, None, False,
            "the team b has used $0.0493 of its budget of $0.0500 for this day (limits.teams.b.budget_usd.day), "
            "and this request may use $0.0051; capacity is available again at 2026-11-22T00:00:00Z, in 16 h 30 min",
        ),
        (denied(USD, None, 5_100_000, 100), 429, 2, True, "when running calls end"),
        (denied(TOKENS, 30, 500, 8800), 402, 30, True, "has used 8,800 tokens of its budget of 9,000 tokens for this hour"),
        (denied(SAME, 3), 429, None, False, "the same request was sent more than 20 times in 10 min"),
        (denied(SESSION, 3), 429, None, False, "this session spent more than $10.00 in 5 min"),
    ],
)  # fmt: skip
def test_refusals(refusing: Denied, status: int, after: float | None, retry: bool, message: str) -> None:
    """The limit, its owner and its reset; a retry-after of at most 59 s, and only if waiting helps."""
    refused = refusal(refusing)
    assert (refused.status, refused.retry_after_s, refused.should_retry) == (status, after, retry)
    assert message in refused.message


def test_headers() -> None:
    """Of several limits of one kind the one with least remaining; budgets, concurrency and runaways have none."""
    key = Counter("key:k:rpm", "limits.default.rpm", "this key", "bucket", "requests", 200, 60)
    assert rate_headers(said((key, 1), (RPM, 4), (USD, 1), (SAME, 20))) == [
        (b"anthropic-ratelimit-requests-limit", b"5"),
        (b"anthropic-ratelimit-requests-remaining", b"1"),
        (b"anthropic-ratelimit-requests-reset", b"2026-11-21T07:30:48Z"),
    ]


def test_warning() -> None:
    """From 80% of the fullest budget on."""
    warning = budget_warning(said((TOKENS, 7500), (USD, 42 * 10**6)))
    assert warning is not None
    assert (warning[0].counter, warning[1]) == (USD, "84% of day")
    assert budget_warning(said((TOKENS, 7000), (RPM, 5))) is None
