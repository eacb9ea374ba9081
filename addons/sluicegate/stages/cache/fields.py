"""The cache's state of one exchange, and what of it goes into the audit record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sluicegate.core.cachekey.key import Tier
from sluicegate.core.formats.registry import format_of
from sluicegate.exchange.bodies import ByteSource
from sluicegate.stages.cache.plan import CachePlan
from sluicegate.stages.cache.singleflight import SharedCall
from sluicegate.stages.cache.tee import Tee
from sluicegate.stores.cache.base import Entry, Head

__all__ = ["CacheFields"]


@dataclass(slots=True)
class CacheFields:
    """The cache's state of one exchange."""

    plan: CachePlan
    exact: str = ""
    """The exact key: identical requests have the same one."""
    lookup_keys: tuple[tuple[Tier, str], ...] = ()
    store: bool = False
    """The answer is to be stored."""
    hit: Entry | None = None
    leading: SharedCall | None = None
    """The call that this exchange makes, and that identical requests may share."""
    following: SharedCall | None = None
    """The call of another exchange whose answer this one gets."""
    subscription: ByteSource | None = None
    tee: Tee | None = None
    snippet: str = ""
    prompt_cache_miss: dict[str, Any] | None = None
    """Why the provider read less from its prompt cache than the turn before had left there."""

    @property
    def is_free(self) -> bool:
        """Whether the answer cost nothing: it came from the cache, or from the call of another request."""
        return self.hit is not None or self.following is not None

    @property
    def saved_tokens(self) -> int:
        if self.following:
            return self.following.saved_tokens
        return sum(self.hit.head.tokens) if self.hit else 0

    @property
    def saved_usd(self) -> float | None:
        """None if the price is unknown."""
        if self.following:
            return self.following.saved_usd
        return self.hit.head.cost_usd if self.hit else 0.0

    def report(self) -> dict[str, object]:
        """This exchange's part of the audit record and of the live feed."""
        report: dict[str, object] = {"prompt_cache_fall": self.prompt_cache_miss}
        if self.snippet:
            report["snippet"] = self.snippet
        if self.is_free:
            saved_usd = self.saved_usd
            report |= {"cost_usd": 0.0, "saved_tokens": self.saved_tokens}
            report["saved_usd"] = None if saved_usd is None else round(saved_usd, 8)
        if self.hit:
            report |= _replayed(self.hit.head)
        return report


def _replayed(head: Head) -> dict[str, object]:
    """What a stored answer says about itself. A replay uses no tokens."""
    used = 0 if format_of(head.surface).answers else None
    return {
        "model_served": head.model,
        "stream": head.stream,
        "input_tokens": used,
        "output_tokens": used,
        "cache_read_tokens": used,
        "cache_write_5m_tokens": used,
        "cache_write_1h_tokens": used,
        "stop_reason": head.stop_reason,
        "tools": list(head.tools),
    }
