"""`/usage`: what the client that asks has spent, what it may, and when that begins anew."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.counters import LimitUsage

__all__ = ["Counting", "usage_page"]

_NANO: Final = 1_000_000_000
_UNITS: Final = {"nano_usd": "usd", "concurrency": "seats"}
"""Units that the page names otherwise."""


@runtime_checkable
class Counting(Protocol):
    """A stage that knows where a caller's limits stand."""

    async def usage(self, caller: Caller, /) -> tuple[LimitUsage, ...] | None:
        """None where its store can not be reached."""
        ...


def usage_page(caller: Caller, limits: tuple[LimitUsage, ...]) -> dict[str, Any]:
    """The page, as JSON-ready values. Money in US dollars, times in UTC."""
    return {
        "key_id": caller.key_id,
        "name": caller.name,
        "team": caller.team,
        "user": caller.user,
        "project": caller.project,
        "tags": dict(caller.tags),
        "models": list(caller.models),
        "limits": [_limit(usage) for usage in limits],
    }


def _limit(usage: LimitUsage) -> dict[str, Any]:
    counter = usage.counter
    money = counter.unit == "nano_usd"
    amounts = {"limit": counter.limit, "used": usage.used, "remaining": usage.remaining}
    return {
        "name": counter.name,
        "of": counter.owner,
        "unit": _UNITS.get(counter.unit, counter.unit),
        "per": counter.window or ("minute" if counter.kind == "bucket" else None),
        **({"rate": counter.rate} if counter.kind == "bucket" else {}),  # `limit` is how many may come at once
        **{k: round(v / _NANO, 6) if money else v for k, v in amounts.items()},
        "resets": None if counter.kind == "concurrency" else _iso(usage.resets_ms),
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
