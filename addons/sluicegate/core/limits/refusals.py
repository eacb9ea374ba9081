"""What a caller is told: the refusal with its status and its waiting time, the rate-limit headers, the budget's warning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from sluicegate.core.limits.counters import Counter, LimitUsage, Row
from sluicegate.core.limits.reservations import Denied, Verdict
from sluicegate.core.limits.rules import NANO

__all__ = ["WARN_AT", "Refusal", "budget_warning", "rate_headers", "refusal"]

LONGEST_RETRY_AFTER_S: Final = 59.0
"""Claude Code waits for a retry-after up to 60 s and gives up at once above it."""
WORTH_WAITING_S: Final = 180.0
"""A client that comes back after 59 s, and again, is let in after so long: up to here retrying is right."""
WARN_AT: Final = 0.8
"""The part of a budget from which the caller is warned."""
_SOON_S: Final = 2.0
"""When to come back for what calls under way will free: nobody knows, soon."""

_NOUNS: Final = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "tokens": "tokens",
    "concurrency": "calls at a time",
}
_HEADERS: Final = {
    unit: tuple(
        b"anthropic-ratelimit-%s-%s" % (unit.replace("_", "-").encode(), end) for end in (b"limit", b"remaining", b"reset")
    )
    for unit in ("requests", "tokens", "input_tokens", "output_tokens")
}
"""The names of their headers: the limit, what remains of it, and when it is whole again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A native error to be."""

    status: int
    message: str
    retry_after_s: float | None
    should_retry: bool


def refusal(denied: Denied) -> Refusal:
    """429 where a rate or a number of calls is used up, 402 where a budget is; with what, whose and until when."""
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
            return f"{counter.owner} has used up its {counter.rate:,} {noun} a minute {name}"
        case "concurrency":
            return f"{counter.owner} has {counter.limit:,} {_NOUNS['concurrency']} {name}, and all of them are under way"
        case "budget":
            limit, used, wants = (_amount(counter.unit, n) for n in (counter.limit, denied.used, denied.amount))
            return (
                f"{counter.owner} has used {used} of its {limit} for this {counter.window} {name}, "
                f"and this request may take {wants}"
            )


def _when(denied: Denied) -> str:
    if denied.available_ms is None:
        return "there is room again when calls under way have ended: try again soon"
    wait_s = (denied.available_ms - denied.now_ms) / 1000
    return f"there is room again at {_iso(denied.available_ms)}, in {_duration(wait_s)}"


def _runaway(denied: Denied) -> str:
    counter = denied.counter
    window = _duration(counter.period_ms / 1000)
    what = (
        f"the same request came more than {counter.limit:,} times in {window}"
        if counter.unit == "requests"
        else f"this session spent more than {_amount(counter.unit, counter.limit)} in {window}"
    )
    return f"{what} ({counter.name}): the client seems to run in a loop; look at what it does, then try again later"


def rate_headers(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """`anthropic-ratelimit-…` as Anthropic sends them, of the caller's own limits; of several the one with least room."""
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
    """The fullest budget and `83% of day`, where one is used beyond the mark."""
    fullest: LimitUsage | None = None
    for (counter, _), row in zip(verdict.charges, verdict.rows, strict=True):
        if counter.kind == "budget" and row.used + row.held >= WARN_AT * counter.limit:
            level = counter.usage(row, verdict.now_ms)
            if fullest is None or level.used * fullest.counter.limit > fullest.used * counter.limit:
                fullest = level
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
