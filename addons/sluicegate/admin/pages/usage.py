"""`/usage`: the usage, limits and reset times of the client that asks."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer, error_answer, json_answer
from sluicegate.core.identity.caller import Caller
from sluicegate.core.limits.counters import LimitUsage
from sluicegate.exchange.exchange import Exchange

__all__ = ["LimitReporter", "usage_document", "usage_page"]

_NANO: Final = 1_000_000_000
_UNITS: Final = {"nano_usd": "usd", "concurrency": "seats"}
"""Units that have another name on the page."""


@runtime_checkable
class LimitReporter(Protocol):
    """A stage that can report the usage of a caller's limits."""

    async def usage(self, caller: Caller, /) -> tuple[LimitUsage, ...] | None:
        """None if its store cannot be reached."""
        ...


def usage_page(x: Exchange, policy: AdminPolicy) -> Answer | Awaitable[Answer]:
    """Needs the client's key, not the admin token. Raises Refused if the client cannot be identified."""
    if policy.identity is None:
        return error_answer(404, "usage is not available: the identity stage is not running")
    caller = policy.identity.identify(x)
    limiter = next((s for s in policy.stages if isinstance(s, LimitReporter)), None)
    if limiter is None:
        return json_answer(usage_document(caller, ()))
    return _with_limits(caller, limiter)


async def _with_limits(caller: Caller, limiter: LimitReporter) -> Answer:
    limits = await limiter.usage(caller)
    if limits is None:
        return error_answer(503, "the limits store cannot be reached; try again", [(b"retry-after", b"5")])
    return json_answer(usage_document(caller, limits))


def usage_document(caller: Caller, limits: tuple[LimitUsage, ...]) -> dict[str, Any]:
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
        **({"rate": counter.rate, "burst": counter.limit} if counter.kind == "bucket" else {}),
        **{k: round(v / _NANO, 6) if money else v for k, v in amounts.items()},
        "resets": None if counter.kind == "concurrency" else _iso(usage.resets_ms),
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
