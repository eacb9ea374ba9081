"""What a caller receives: the refusal with its status and retry-after, the rate-limit headers, the budget warning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from sluicegate.core.limits.counters import Counter, LimitUsage, Row
from sluicegate.core.limits.reservations import Denied, Verdict
from sluicegate.core.limits.rules import NANO

__all__ = ["WARN_AT", "Refusal", "budget_warning", "in_force", "rate_headers", "refusal"]

LONGEST_RETRY_AFTER_S: Final = 59.0
"""Claude Code honours a retry-after of up to 60 s and gives up at once above it."""
WORTH_WAITING_S: Final = 180.0
"""Up to this wait a client that retries every 59 s is admitted after a few retries: retrying is worthwhile."""
WARN_AT: Final = 0.8
"""The used fraction of a budget from which the caller is warned."""
_SOON_S: Final = 2.0
"""The retry-after when running calls must end first: nothing tells when they do."""

_NOUNS: Final = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "tokens": "tokens",
    "concurrency": "concurrent calls",
}
_HEADERS: Final = {
    unit: tuple(
        b"anthropic-ratelimit-%s-%s" % (unit.replace("_", "-").encode(), end) for end in (b"limit", b"remaining", b"reset")
    )
    for unit in ("requests", "tokens", "input_tokens", "output_tokens")
}
"""Their header names: the limit, what remains of it, when all of it is available again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The content of a native error."""

    status: int
    message: str
    retry_after_s: float | None
    should_retry: bool


def refusal(denied: Denied) -> Refusal:
    """429 for a rate or concurrency limit, 402 for a spent budget; the message names the limit, its owner and its reset."""
    counter = denied.counter
    if counter.name.startswith("limits.runaway."):
        return Refusal(429, _runaway(denied), None, should_retry=False)
    wait_s = _SOON_S if denied.available_ms is None else max(0.001, (denied.available_ms - denied.now_ms) / 1000)
    spent = counter.kind == "budget" and denied.available_ms is not None
    worth = wait_s <= (LONGEST_RETRY_AFTER_S if spent else WORTH_WAITING_S)
    after = min(LONGEST_RETRY_AFTER_S, float(-(-wait_s // 1))) if worth else None
    return Refusal(402 if spent else 429, f"{_what(denied)}; {_when(denied)}", after, worth)


def _what(denied: Denied) -> str:
    counter = denied.counter
    name = f"({counter.name})"
    match counter.kind:
        case "bucket":
            noun = _NOUNS.get(counter.unit, "")
            return f"{counter.owner} has reached its limit of {counter.rate:,} {noun} per minute {name}"
        case "concurrency":
            return f"{counter.owner} has reached its limit of {counter.limit:,} {_NOUNS['concurrency']} {name}"
        case "budget":
            limit, used, wants = (_amount(counter.unit, n) for n in (counter.limit, denied.used, denied.amount))
            return (
                f"{counter.owner} has used {used} of its budget of {limit} for this {counter.window} {name}, "
                f"and this request may use {wants}"
            )


def _when(denied: Denied) -> str:
    if denied.available_ms is None:
        return "retry shortly: capacity is released when running calls end"
    wait_s = (denied.available_ms - denied.now_ms) / 1000
    return f"capacity is available again at {_iso(denied.available_ms)}, in {_duration(wait_s)}"


def _runaway(denied: Denied) -> str:
    counter = denied.counter
    window = _duration(counter.period_ms / 1000)
    what = (
        f"the same request was sent more than {counter.limit:,} times in {window}"
        if counter.unit == "requests"
        else f"this session spent more than {_amount(counter.unit, counter.limit)} in {window}"
    )
    return f"{what} ({counter.name}); the client appears to be in a loop: check it before you retry"


def in_force(counter: Counter) -> str:
    """What a counter allows, for people: `3 requests per minute, at most 3 at once`."""
    match counter.kind:
        case "bucket":
            return f"{counter.rate:,} {_NOUNS[counter.unit]} per minute, at most {counter.limit:,} at once"
        case "concurrency":
            return f"{counter.limit:,} {_NOUNS['concurrency']}"
        case "budget":
            return f"{_amount(counter.unit, counter.limit)} per {counter.window} ({counter.zone})"


def rate_headers(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """The caller's own limits in Anthropic's `anthropic-ratelimit-…` headers; of several the one with least remaining."""
    tightest: dict[str, tuple[int, Counter, Row]] = {}
    for (counter, _), row in zip(verdict.charges, verdict.rows, strict=True):
        unit = counter.unit
        if counter.kind != "bucket" or unit not in _HEADERS or counter.name.startswith("limits.runaway."):
            continue
        remaining = counter.limit - -(-row.used // counter.period_ms)
        if unit not in tightest or remaining < tightest[unit][0]:
            tightest[unit] = remaining, counter, row
    out: list[tuple[bytes, bytes]] = []
    for name, (remaining, counter, row) in tightest.items():
        limit_name, remaining_name, reset_name = _HEADERS[name]
        resets_ms = verdict.now_ms - -row.used // counter.rate
        out += (
            (limit_name, b"%d" % counter.limit),
            (remaining_name, b"%d" % max(0, remaining)),
            (reset_name, _iso(resets_ms).encode()),
        )
    return out


def budget_warning(verdict: Verdict) -> tuple[LimitUsage, str] | None:
    """The fullest budget and a text such as `83% of day`; None if no budget has reached WARN_AT."""
    fullest: LimitUsage | None = None
    for (counter, _), row in zip(verdict.charges, verdict.rows, strict=True):
        if counter.kind == "budget" and row.used + row.held >= WARN_AT * counter.limit:
            usage = counter.usage(row, verdict.now_ms)
            if fullest is None or usage.used * fullest.counter.limit > fullest.used * counter.limit:
                fullest = usage
    if fullest is None:
        return None
    return fullest, f"{fullest.used * 100 // fullest.counter.limit}% of {fullest.counter.window}"


def _amount(unit: str, n: int) -> str:
    if unit == "nano_usd":
        return f"${n / NANO:.4f}" if n < NANO else f"${n / NANO:,.2f}"
    return f"{n:,} {_NOUNS[unit]}"


def _iso(ms: int) -> str:
    return _iso_s(-(-ms // 1000))


@lru_cache(maxsize=256)
def _iso_s(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    left = max(1, int(-(-seconds // 1)))
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        n, left = divmod(left, size)
        if n:
            parts.append(f"{n} {unit}")
    return " ".join(parts[:2])
