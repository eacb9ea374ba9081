"""core/routing/quota.py: what a provider says of a key's limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.routing.quota import (
    SPENT_S,
    Quotas,
    Refusal,
    refusal,
)

NOW = 1_800_000_000.0
SOON, LATER = "2027-01-15T08:00:20Z", "2027-01-15T10:00:00Z"
"""20 s and two hours after NOW."""


def limit(kind: str, left: object, reset: str = SOON, of: object = 1000) -> dict[str, str]:
    prefix = f"anthropic-ratelimit-{kind}"
    return {f"{prefix}-limit": str(of), f"{prefix}-remaining": str(left), f"{prefix}-reset": reset}


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (429, {"retry-after": "20"}, b"", Refusal(False, 20)),
        (429, {"retry-after-ms": "1500"}, b"", Refusal(False, 1.5)),
        (429, {"retry-after": "3600"}, b"", Refusal(True, 3600)),
        (429, limit("tokens", 0), b"", Refusal(False, 20)),
        (429, limit("requests", 0, LATER), b"", Refusal(True, 7200)),
        (429, {**limit("requests", 5, LATER), **limit("tokens", 0)}, b"", Refusal(False, 20)),
        (429, {}, b'{"error":{"message":"You have reached your specified API usage limits"}}', Refusal(True, SPENT_S)),
        (429, {}, b"You exceeded your current quota", Refusal(True, SPENT_S)),
        (402, {}, b"", Refusal(True, SPENT_S)),
        (429, {}, b"", Refusal(False, None)),
        (429, {}, b'{"error":{"type":"rate_limit_error","message":"exceeds your rate limit"}}', Refusal(False, None)),
        (
            429,
            {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(NOW + 9000)},
            b"",
            Refusal(True, 9000),
        ),
        (429, {"anthropic-ratelimit-unified-status": "rejected"}, b"", Refusal(True, SPENT_S)),
    ],
)  # fmt: skip
def test_a_minute_or_the_end(status: int, headers: dict[str, str], body: bytes, expected: Refusal) -> None:
    """A wait within the minute is pacing; longer ones, and words about a budget, mean that the key is spent."""
    assert refusal(status, headers, body, NOW) == expected


@given(
    st.dictionaries(
        st.sampled_from([*limit("tokens", 0), "retry-after", "anthropic-ratelimit-unified-reset"]), st.text(max_size=30)
    )
)
def test_nonsense_in_headers_is_survived(headers: dict[str, str]) -> None:
    """Whatever a provider writes there, a wait is a bounded number of seconds."""
    found = refusal(429, headers, b"", NOW)
    assert found.for_s is None or 0 <= found.for_s <= 31 * 86_400
    quotas = Quotas()
    quotas.observe("key", headers)
    assert 0 <= quotas.share_left("key", NOW) <= 1


def test_least_loaded_first() -> None:
    """By each one's tightest limit; what was reset since, or never seen, is free; even keys keep their order."""
    quotas = Quotas()
    quotas.observe("a", {**limit("requests", 900), **limit("tokens", 50)})
    quotas.observe("b", limit("requests", 500))
    quotas.observe("c", {})
    assert quotas.least_loaded_first(["a", "b", "c", "d"], NOW) == [2, 3, 1, 0]
    assert quotas.least_loaded_first(["a", "b", "c", "d"], NOW + 60) == [0, 1, 2, 3]
