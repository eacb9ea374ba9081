"""The provider's prompt cache: adds markers for clients that set none, and explains why a cached prefix was not read."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import Any, Final

from sluicegate.core.messages.usage import Usage
from sluicegate.core.pricing.prices import Prices
from sluicegate.core.prompt_cache.markers import with_markers
from sluicegate.core.prompt_cache.misses import (
    PromptCacheMiss,
    Turn,
    explain_miss,
    fingerprint,
    same_conversation,
)
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.telemetry.stats import Stats
from sluicegate.settings import Settings
from sluicegate.stages.cache.plan import CachePlan
from sluicegate.stages.cache.request import tenant

__all__ = ["PreviousTurns", "PromptCacheWatch", "inject_markers"]

_MAX_CONVERSATIONS: Final = 300
_MAX_LINES: Final = 6
_MAX_BYTES: Final = 64 * 1024 * 1024


def inject_markers(x: Exchange, plan: CachePlan) -> bool:
    """Add cache_control to the request's body if the client set none. True if the body was changed."""
    if plan.inject == "off" or not x.format.takes_cache_markers or x.answer is not None:
        return False
    if plan.markers == {"none"} or _is_claude_code(x):
        return False
    automatic = "blocks" not in plan.markers
    always = plan.inject == "always"
    changed = with_markers(x.request.data.content or b"", plan.inject_ttl, always=always, automatic=automatic)
    if changed is None:
        return False
    x.request.data.content = changed
    x.request.headers["content-length"] = str(len(changed))
    return True


def _is_claude_code(x: Exchange) -> bool:
    headers = x.request.headers
    return headers.get("user-agent", "").startswith("claude-cli/") or "x-claude-code-session-id" in headers


class PreviousTurns:
    """The last request of each conversation, in memory only; bounded by conversations and by bytes.

    A session has several lines of conversation: the main one and side requests (titles, summaries).
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._lines: OrderedDict[bytes, list[Turn]] = OrderedDict()

    def replace(self, session: str | None, agent: str | None, tenant: bytes, turn: Turn) -> PromptCacheMiss | None:
        """Remember a turn in place of the previous one of its line, and explain what it no longer read from the cache.

        Without a session id, the first message identifies the conversation; in both cases, of this tenant.
        """
        own = session.encode("utf-8", "replace") if session else turn.print.opening
        named = (tenant, b"session" if session else b"opening", own, (agent or "").encode("utf-8", "replace"))
        key = hashlib.blake2b(b"".join(len(part).to_bytes(8) + part for part in named), digest_size=16).digest()
        lines = self._lines.setdefault(key, [])
        self._lines.move_to_end(key)
        previous = _previous(lines, turn)
        if previous:
            lines.remove(previous)
            self._bytes -= len(previous.body)
        lines.append(turn)
        self._bytes += len(turn.body)
        self._trim(lines)
        return explain_miss(previous, turn) if previous else None

    def _trim(self, lines: list[Turn]) -> None:
        if len(lines) > _MAX_LINES:
            self._bytes -= len(lines.pop(0).body)
        while self._lines and (self._bytes > self._max or len(self._lines) > _MAX_CONVERSATIONS):
            _, evicted = self._lines.popitem(last=False)
            self._bytes -= sum(len(t.body) for t in evicted)


def _previous(lines: list[Turn], turn: Turn) -> Turn | None:
    """The turn that this one continues; of several, the one with the same model and the same first message."""

    def related(earlier: Turn) -> bool:
        same_model = earlier.model == turn.model
        return earlier.print == turn.print or (same_model and same_conversation(earlier.print, turn.print))

    def closeness(earlier: Turn) -> tuple[bool, bool]:
        return earlier.model == turn.model, earlier.print.opening == turn.print.opening

    return max(filter(related, lines), key=closeness, default=None)


class PromptCacheWatch:
    """Compares each answered turn with the previous one of its conversation, and reports what the provider's cache lost."""

    def __init__(self, settings: Settings, prices: Prices, stats: Stats, turns: PreviousTurns) -> None:
        self.settings = settings
        self.prices = prices
        self.stats = stats
        self.turns = turns

    def observe(self, x: Exchange, asked_model: str) -> dict[str, Any] | None:
        """At the end of an exchange: the record of a miss; None if the provider read what the previous turn had left."""
        facts = x.routing.call.facts if x.routing.call and x.status == 200 else None
        turn = _turn_of(x, facts.usage, facts.model or asked_model) if facts else None
        if turn is None:
            return None
        miss = self.turns.replace(x.session_id, x.agent_id, tenant(x), turn)
        if miss is None:
            return None
        record = _record(miss, self._extra_cost_usd(x, miss.lost_tokens, turn.model), quote=self.settings.cache.snippet)
        self.stats.add_prompt_cache_miss({"exchange": x.id, "session": x.session_id, "at": x.started_at, **record})
        return record

    def _extra_cost_usd(self, x: Exchange, lost_tokens: int, model: str) -> float | None:
        """What it costs to write these tokens again instead of reading them."""
        source = self.settings.kind_of(x.routing.target.provider if x.routing.target else "").price_source
        write = self.prices.cost_usd(Usage(cache_write_5m_tokens=lost_tokens, known=True), model, source)
        read = self.prices.cost_usd(Usage(cache_read_tokens=lost_tokens, known=True), model, source)
        return None if write is None or read is None else write - read


def _turn_of(x: Exchange, usage: Usage, model: str) -> Turn | None:
    """What is remembered of an answered request; None if its usage is unknown or its body cannot be parsed."""
    body = x.request.data.content or b""
    if not usage.known or (printed := fingerprint(body)) is None:
        return None
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return Turn(
        body,
        printed,
        model,
        f"{x.routing.target.provider}@{x.routing.target}" if x.routing.target else "",
        usage.cache_read_tokens,
        written,
        x.first_byte or time.monotonic(),
        "1h" if usage.cache_write_1h_tokens else "5m",
    )


def _record(miss: PromptCacheMiss, lost_usd: float | None, *, quote: bool) -> dict[str, Any]:
    """A miss as audit records and /stats show it; `quote`: with the text around the change (`cache.snippet`)."""
    quotes = {"before": miss.before, "now": miss.now} if quote and miss.before is not None else {}
    return {
        "reason": miss.reason,
        "what": miss.describe(),
        "where": miss.where,
        "byte": miss.byte,
        "lost_tokens": miss.lost_tokens,
        "lost_usd": None if lost_usd is None else round(lost_usd, 8),
        **quotes,
    }
